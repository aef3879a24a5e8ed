"""Publishes on a thread of its own, for as long as it takes.

The router awaits `publish`, which returns when RabbitMQ has confirmed every message. What is
refused, returned or not confirmed in time is published again, in order; a connection in doubt is
thrown away. RabbitMQ away is one line in the log when it begins and one when it ends; nothing is
dropped and nothing is judged. A batch that cannot be delivered holds back those behind it.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from functools import partial
from typing import Final

import structlog

from app import metrics
from app.queue.connection import sentence
from app.queue.link import Link, Refused
from app.queue.message import Outgoing

log = structlog.get_logger()

RETRY_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Waits between tries, the last again and again."""
STOP_S: Final = 5.0
"""Longest wait for the thread's end."""

Batch = tuple[Sequence[Outgoing], "Future[None]"]


class Publisher:
    """Publishes to `downstream_actions`; safe to await from any event loop."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._batches: queue.Queue[Batch | None] = queue.Queue()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._stopping = threading.Event()
        self._link: Link | None = None
        self.waits_for = ""
        """Why RabbitMQ has not taken what is being published; empty while it does."""

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
        if not messages:
            return
        if self._stopping.is_set():
            raise asyncio.CancelledError("the publisher is stopped")
        done: Future[None] = Future()
        self._batches.put((messages, done))
        await asyncio.wrap_future(done)

    def _run(self) -> None:
        while (batch := self._batches.get()) is not None:
            messages, done = batch
            if self._deliver(messages, partial(self._wanted, done)):
                with suppress(InvalidStateError):  # whoever awaited it was cancelled this moment
                    done.set_result(None)
            else:
                done.cancel()
        self._drop()

    def _wanted(self, done: "Future[None]") -> bool:
        return not (self._stopping.is_set() or done.cancelled())

    def _deliver(self, messages: Sequence[Outgoing], wanted: Callable[[], bool]) -> bool:
        """Publish until all are confirmed; False if that is not wanted any more before."""
        left, tries, said = list(messages), 0, ""
        while left and wanted():
            confirmed: set[int] = set()
            why = self._try(left, confirmed, wanted)
            left = [message for place, message in enumerate(left) if place not in confirmed]
            if left and wanted():
                if why != said:
                    log.warning("publishing_stands_still", why=why, messages=len(left))
                said = self.waits_for = why
                metrics.PUBLISH_RETRIES.inc(len(left))
                self._stopping.wait(RETRY_S[min(tries, len(RETRY_S) - 1)])
                tries += 1
        if left:
            self._drop()  # confirms for what nobody waits for may still come
        elif tries:
            log.info("publishing_again", after_tries=tries)
        self.waits_for = ""
        return not left

    def _try(self, left: Sequence[Outgoing], confirmed: set[int], wanted: Callable[[], bool]) -> str:
        """Publish what is left, once; why some were not confirmed."""
        try:
            if self._link is None:
                self._link = Link(self._url)
            self._link.send(left, confirmed, wanted)
        except Refused as why:
            return str(why)
        except Exception as error:  # noqa: BLE001 - sockets, AMQP and TLS raise what they like
            self._drop()
            return sentence(self._url, error)
        return ""

    def _drop(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.drop()
