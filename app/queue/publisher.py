"""Publishes with pipelined confirms, on a thread of its own, for as long as it takes.

The router awaits `publish`, which returns when RabbitMQ has confirmed every message. Confirms are
matched by delivery tag here: py-amqp's own wait takes a late confirm for that of the next message.
A message that is refused, returned or not confirmed in time is published again; a connection in
doubt is thrown away, never reused. RabbitMQ away is one line in the log when it begins and one
when it ends; nothing is dropped and nothing is judged.
"""

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from time import monotonic
from typing import Any, Final

import structlog
from amqp import Message
from kombu import Connection

from app.queue.message import Outgoing
from tasks.contract import EXCHANGE

log = structlog.get_logger()

WINDOW: Final = 500
"""Most messages whose confirms are awaited at once."""
CONFIRM_S: Final = 10.0
"""Longest silence of RabbitMQ while confirms are awaited."""
RETRY_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Waits between tries, the last again and again."""

Batch = tuple[Sequence[Outgoing], "Future[None]"]


class Refused(Exception):  # noqa: N818 - said of messages, not of the program
    """RabbitMQ took the connection and not the message."""


class Publisher:
    """Publishes to `downstream_actions`; safe to await from one event loop."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._batches: queue.Queue[Batch | None] = queue.Queue()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._stopping = threading.Event()
        self._link: _Link | None = None
        self._said = ""
        self.retried = 0
        """Publications that had to be tried again, so far."""

    def start(self) -> None:
        """Start the thread; it connects with the first message."""
        self._thread.start()

    def stop(self) -> None:
        """Give up what is not confirmed (its decisions are read again) and end the thread."""
        self._stopping.set()
        self._batches.put(None)
        self._thread.join(5)

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Return when every message is confirmed; cancelled or stopped, some may have been published."""
        if not messages:
            return
        done: Future[None] = Future()
        self._batches.put((messages, done))
        await asyncio.wrap_future(done)

    def _run(self) -> None:
        while (batch := self._batches.get()) is not None:
            messages, done = batch
            if self._deliver(messages):
                done.set_result(None)
            else:
                done.cancel()
        if self._link is not None:
            self._link.drop()

    def _deliver(self, messages: Sequence[Outgoing]) -> bool:
        """Publish until all are confirmed; False if the publisher is stopped first."""
        left = deque(messages)
        tries = 0
        while left and not self._stopping.is_set():
            try:
                if self._link is None:
                    self._link = _Link(self._url)
                self._link.send(left)
            except Refused as why:
                self._wait(tries, str(why))
            except Exception as error:  # noqa: BLE001 - sockets, AMQP and TLS raise what they like
                self._drop()
                self._wait(tries, f"RabbitMQ is away: {error or type(error).__name__}")
            else:
                continue
            tries += 1
            self.retried += len(left)
        if tries and not left:
            log.info("publishing_again", after_tries=tries)
        return not left

    def _drop(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.drop()

    def _wait(self, tries: int, why: str) -> None:
        """Say why when it begins or another reason comes, then let some time pass."""
        if tries == 0 or why != self._said:
            log.warning("publishing_stands_still", why=why)
        self._said = why
        self._stopping.wait(RETRY_S[min(tries, len(RETRY_S) - 1)])


class _Link:
    """One connection and one channel with confirms."""

    def __init__(self, url: str) -> None:
        options = {"read_timeout": CONFIRM_S, "write_timeout": CONFIRM_S}
        self._connection = Connection(url, connect_timeout=5, heartbeat=0, transport_options=options)
        self._connection.connect()
        self._channel: Any = self._connection.channel()
        self._channel.confirm_select()
        self._published = 0
        self._channel.events["basic_ack"].add(self._acknowledged)
        self._channel.events["basic_nack"].add(self._refused)
        self._channel.events["basic_return"].add(self._returned)
        self._tag = 0
        self._open: dict[int, Outgoing] = {}
        self._again: list[Outgoing] = []
        self._unroutable: set[str] = set()
        self._why = ""

    def send(self, left: deque[Outgoing]) -> None:
        """Publish all that is left; what is confirmed is taken off, also when this raises."""
        waiting = list(left)
        try:
            for message in waiting:
                while len(self._open) >= WINDOW:
                    self._drain()
                self._publish(message)
            while self._open:
                self._drain()
        finally:
            unconfirmed = {id(one) for one in (*self._open.values(), *self._again)}
            published = self._published
            self._published = 0
            kept = [one for i, one in enumerate(waiting) if i >= published or id(one) in unconfirmed]
            left.clear()
            left.extend(kept)
            self._again.clear()
        if left:
            raise Refused(self._why)

    def _publish(self, message: Outgoing) -> None:
        self._tag += 1
        self._open[self._tag] = message
        self._published += 1
        amqp_message = Message(message.body, **message.properties)
        # the plain publish: the channel's own waits for each confirm in turn
        self._channel._basic_publish(amqp_message, EXCHANGE, message.routing_key, mandatory=True)  # noqa: SLF001

    def _drain(self) -> None:
        before, began = len(self._open), monotonic()
        while len(self._open) == before:
            self._connection.drain_events(timeout=CONFIRM_S)
            if monotonic() - began > CONFIRM_S:
                raise TimeoutError(f"RabbitMQ confirms nothing for {CONFIRM_S:.0f} s")

    def _settled(self, tag: int, multiple: bool) -> list[Outgoing]:  # noqa: FBT001 - AMQP's own argument
        tags = [one for one in self._open if one <= tag] if multiple else [tag]
        return [message for one in tags if (message := self._open.pop(one, None)) is not None]

    def _acknowledged(self, tag: int, multiple: bool) -> None:  # noqa: FBT001
        for message in self._settled(tag, multiple):
            if message.id in self._unroutable:  # a returned message is confirmed too, after its return
                self._unroutable.discard(message.id)
                self._again.append(message)

    def _refused(self, tag: int, multiple: bool) -> None:  # noqa: FBT001
        refused = self._settled(tag, multiple)
        self._why = (
            f"RabbitMQ refuses messages of {', '.join(sorted({m.kind.value for m in refused}))}: is the queue full?"
        )
        self._again += refused

    def _returned(self, *args: Any) -> None:
        message = args[-1]
        self._unroutable.add(message.properties.get("message_id", ""))
        self._why = f"no queue takes {args[2]!r} on {EXCHANGE}: run `headrace queues init`"

    def drop(self) -> None:
        """Close without a word to the server, which may not listen."""
        self._connection.collect()
