"""A foreign service: it knows RabbitMQ and JSON, and nothing of Headrace but the name of an exchange.

The demo runs it to show what any program of any language can do: bind a queue of its own to the
enriched events and read them.
"""

import json
import threading
from contextlib import suppress
from time import sleep
from typing import Any, Final, Self

from kombu import Connection, Exchange, Queue
from kombu.exceptions import OperationalError

QUEUE: Final = "foreign_service"
BINDING: Final = "event.#"


class Foreign:
    """Reads enriched events while the block runs; a RabbitMQ that goes away is waited for."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="foreign", daemon=True)
        self.events: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        """Bind the queue; what is published from here on is read."""
        with Connection(self._url) as connection:
            self._queue().bind(connection.channel()).declare()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop reading, and leave no queue behind that would fill for ever."""
        self._end.set()
        self._thread.join(10)
        with suppress(OSError, OperationalError), Connection(self._url, connect_timeout=3) as connection:
            connection.channel().queue_delete(QUEUE)

    def _queue(self) -> Queue:
        exchange = Exchange("downstream_actions", type="topic", no_declare=True)
        return Queue(QUEUE, exchange, routing_key=BINDING, durable=True, queue_arguments={"x-queue-type": "quorum"})

    def _run(self) -> None:
        while not self._end.is_set():
            with suppress(OSError, OperationalError):
                self._read()
            sleep(0.5)

    def _read(self) -> None:
        """Read until the end, or until the connection breaks."""
        with (
            Connection(self._url, connect_timeout=3) as connection,
            connection.Consumer([self._queue()], callbacks=[self._take], prefetch_count=10),
        ):
            while not self._end.is_set():
                with suppress(TimeoutError):
                    connection.drain_events(timeout=0.5)

    def _take(self, body: Any, message: Any) -> None:
        self.events.append(body if isinstance(body, dict) else json.loads(body))
        message.ack()
