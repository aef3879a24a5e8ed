"""Publishes on a thread of its own, for as long as it takes.

The router awaits `offer`, the gateway `publish`. What is not confirmed in time is published again, in order;
a connection in doubt is thrown away. RabbitMQ away is one line in the log when it begins and one when it ends;
nothing is dropped and nothing is judged, and a batch that cannot be delivered holds back those behind it.
A kind that is refused or returned, as by a full queue, holds back only itself, up to `held.MOST` messages.
"""

import asyncio
import queue
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from time import monotonic
from typing import Final

import structlog

from app import metrics
from app.queue import held
from app.queue.connection import sentence
from app.queue.held import Held, Item
from app.queue.link import Link, Refused
from app.queue.message import Outgoing

log = structlog.get_logger()

RETRY_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Waits between tries, the last again and again."""
STOP_S: Final = 5.0
"""Longest wait for the thread's end."""


class Batch:
    """What was offered together. `taken` ends when each is confirmed or held back, `rest` when all are confirmed."""

    def __init__(self, messages: Sequence[Outgoing]) -> None:
        self.messages = messages
        self.taken: Future[None] = Future()
        self.rest: Future[None] = Future()
        self._left = len(messages)

    @property
    def given_up(self) -> bool:
        """Whether nobody waits any more."""
        return self.taken.cancelled() or self.rest.cancelled()

    def confirmed(self) -> None:
        """One more is."""
        self._left -= 1
        if not self._left:
            end(self.rest)


def end(future: "Future[None]") -> None:
    """Let those go on who wait."""
    with suppress(InvalidStateError):  # whoever awaited it was cancelled this moment
        future.set_result(None)


class Publisher:
    """Publishes to `downstream_actions`; safe to await from any event loop."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._batches: queue.Queue[Batch | None] = queue.Queue()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._stopping = threading.Event()
        self._link: Link | None = None
        self._held = Held()
        self._open: set[Batch] = set()
        self._told: set[str] = set()
        self._refused = ""
        self._rounds = 0
        self._due = 0.0
        self.waits_for = ""
        """Why RabbitMQ has not taken some of what is being published; empty while it does."""

    def start(self) -> None:
        """Start the thread; it connects with the first message."""
        self._thread.start()

    def stop(self) -> None:
        """Give up what is not confirmed (its decisions are read again) and end the thread."""
        self._stopping.set()
        self._batches.put(None)
        if self._thread.is_alive():
            self._thread.join(STOP_S)

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Return when every message is confirmed.

        Cancelled, or with the publisher stopped (which raises CancelledError), some may have been published.
        """
        rest = await self.offer(messages)
        if rest is not None:
            await rest

    async def offer(self, messages: Sequence[Outgoing]) -> Awaitable[None] | None:
        """Return when every message is confirmed, or held back because its kind is refused.

        What comes back then ends when those are confirmed too; cancelled, they are given up. Cancelled
        itself, or with the publisher stopped (CancelledError), some may have been published.
        """
        if not messages:
            return None
        if self._stopping.is_set():
            raise asyncio.CancelledError("the publisher is stopped")
        batch = Batch(messages)
        self._batches.put(batch)
        await asyncio.wrap_future(batch.taken)
        return None if batch.rest.done() else asyncio.wrap_future(batch.rest)

    def _run(self) -> None:
        while not self._stopping.is_set():
            with suppress(queue.Empty):
                batch = self._batches.get(timeout=max(0.0, self._due - monotonic()) if self._held else None)
                if batch is not None:
                    self._take(batch)
            if self._held and monotonic() >= self._due:
                self._round()
        for batch in (*self._open, *self._unread()):
            batch.taken.cancel()
            batch.rest.cancel()
        self._drop()

    def _unread(self) -> list[Batch]:
        with self._batches.mutex:
            return [batch for batch in self._batches.queue if batch is not None]

    def _take(self, batch: Batch) -> None:
        """Publish a batch until each is confirmed or held back, and there is room to hold back."""

        def wanted() -> bool:
            return not (self._stopping.is_set() or batch.given_up)

        self._open.add(batch)
        now: list[Item] = []
        for message in batch.messages:
            item = Item(message, wanted, batch.confirmed)
            if self._held.has(message.kind):
                self._held.put(item)
            else:
                now.append(item)
        self._hold(self._deliver(now, wanted))
        while len(self._held) > held.MOST and wanted():
            self._stopping.wait(max(0.0, self._due - monotonic()))
            self._round()
        if wanted():
            end(batch.taken)
        self._tell()

    def _hold(self, refused: Sequence[Item]) -> None:
        if refused and not self._held:
            self._rounds, self._due = 0, monotonic() + RETRY_S[0]
        for item in refused:
            self._held.put(item)

    def _round(self) -> None:
        """Publish of what is held back the oldest of each service, once."""
        asked = self._held.round()
        refused = self._deliver(asked, lambda: not self._stopping.is_set())
        still = set(map(id, refused))
        for item in asked:
            if id(item) not in still:
                self._held.taken(item)
        self._rounds = min(self._rounds + 1, len(RETRY_S) - 1) if refused else 0
        self._due = monotonic() + (RETRY_S[self._rounds] if refused else 0.0)
        self._tell()

    def _tell(self) -> None:
        """Keep what is said of the held up to date."""
        self._open = {batch for batch in self._open if not (batch.rest.done() or batch.given_up)}
        kinds = self._held.kinds
        for kind in self._told | kinds.keys():
            metrics.HELD.labels(kind).set(kinds.get(kind, 0))
        for kind in sorted(self._told - kinds.keys()):
            log.info("publishing_again", kind=kind)
        self._told &= kinds.keys()
        self.waits_for = self._refused if kinds else ""

    def _deliver(self, items: Sequence[Item], wanted: Callable[[], bool]) -> list[Item]:
        """Publish until RabbitMQ has answered for each, or that is not wanted any more; what it refused."""
        left, tries, said = list(items), 0, ""
        while left and wanted():
            confirmed: set[int] = set()
            refused, why = self._try([item.message for item in left], confirmed, wanted)
            for place in sorted(confirmed):
                metrics.ROUTED.labels(left[place].message.kind).inc()
                left[place].confirmed()
            left = [item for place, item in enumerate(left) if place not in confirmed]
            if not left or not wanted():
                break
            metrics.PUBLISH_RETRIES.inc(len(left))
            if refused:
                self._refused = why
                if new := {item.message.kind for item in left} - self._told:
                    self._told |= new
                    log.warning("held_back", why=why, kinds=sorted(new))
                return left
            if why != said:
                log.warning("publishing_stands_still", why=why, messages=len(left))
            said = self.waits_for = why
            self._stopping.wait(RETRY_S[min(tries, len(RETRY_S) - 1)])
            tries += 1
        if left:
            self._drop()  # confirms for what nobody waits for may still come
        elif tries:
            log.info("publishing_again", after_tries=tries)
        return []

    def _try(self, left: Sequence[Outgoing], confirmed: set[int], wanted: Callable[[], bool]) -> tuple[bool, str]:
        """Publish what is left, once; whether RabbitMQ refused some, and why some were not confirmed."""
        try:
            if self._link is None:
                self._link = Link(self._url)
            self._link.send(left, confirmed, wanted)
        except Refused as why:
            return True, str(why)
        except Exception as error:  # noqa: BLE001 - sockets, AMQP and TLS raise what they like
            self._drop()
            return False, sentence(self._url, error)
        return False, ""

    def _drop(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.drop()
