"""Messages of an observer to Kafka, each under the service as its key, so that those of one keep their order.

They are sent without waiting. If Kafka does not take one in time, the next call raises: what is told too late is
worse than an observer that ends and is started again.
"""

import json
from typing import Any, Final, Self

from confluent_kafka import KafkaError, Producer

from app.observe.cluster import ObserveError
from app.observe.report import Message
from app.settings import Settings
from app.stream import client

PATIENCE_S: Final = 30.0
"""Seconds within which Kafka has to take a message."""


class Messages:
    """Sends to one topic, as long as the block runs; its end waits for what is on its way."""

    def __init__(self, settings: Settings, topic: str) -> None:
        """Raises KafkaUnavailable if there is no Kafka, or no such topic."""
        client.partitions_of(settings, topic)
        patience = {"message.timeout.ms": int(PATIENCE_S * 1000), "linger.ms": 5}
        self._producer = Producer(settings.librdkafka(acks="all", log_level=0) | patience)
        self._where = f"{topic} on {settings.bootstrap}"
        self._topic = topic
        self._refused: str | None = None
        self.sent = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        left = self._producer.flush(PATIENCE_S)
        if error is None and (left or self._refused):
            self._raise()

    def send(self, message: Message) -> None:
        """Send one; ObserveError if Kafka has not taken an earlier one."""
        self._producer.poll(0)
        if self._refused:
            self._raise()
        try:
            self._producer.produce(
                self._topic, json.dumps(message).encode(), message["service"].encode(), on_delivery=self._delivered
            )
        except BufferError:
            self._refused = "too much is on its way"
            self._raise()

    def _delivered(self, refused: KafkaError | None, _: Any) -> None:
        if refused is None:
            self.sent += 1
        else:
            self._refused = refused.str()

    def _raise(self) -> None:
        why = self._refused or "it does not answer"
        raise ObserveError(f"Kafka did not take what was observed for {self._where}: {why}; is it running?")
