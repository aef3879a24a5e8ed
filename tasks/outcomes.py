"""Outcomes to Kafka, acknowledged by it before RabbitMQ's delivery is acknowledged by us."""

import time
from typing import Any, Final

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer

from tasks.contract import Outcome, encode
from tasks.settings import Settings

TOPIC: Final = "headrace.outcomes"
TRY_MS: Final = 10_000
"""Milliseconds after which a try that Kafka has not acknowledged is given up and made anew."""

log = structlog.get_logger()


class Outcomes:
    """Writes outcomes; made after a worker process has forked, since librdkafka's threads do not survive that."""

    def __init__(self, settings: Settings) -> None:
        ours = {"enable.idempotence": True, "linger.ms": 0, "delivery.timeout.ms": TRY_MS, "log_level": 0}
        self._config = settings.librdkafka() | ours if settings.kafka_url else None
        self._producer: Producer | None = None

    def write(self, outcome: Outcome) -> None:
        """Return when Kafka has the outcome, however long that takes: the delivery is held meanwhile.

        Without a Kafka there is nothing to write: the ledger has it.
        """
        if self._config is None:
            return
        tries = 0
        while why := self._failed(outcome, self._config):
            if tries == 0:
                log.warning("outcome_waits", id=outcome.id, why=str(why))
            tries += 1

    def _failed(self, outcome: Outcome, config: dict[str, Any]) -> object:
        """Why Kafka has not acknowledged the outcome; None when it has."""
        self._producer = self._producer or Producer(config)
        answers: list[KafkaError | None] = []
        try:
            self._producer.produce(
                TOPIC, encode(outcome), outcome.service.encode(), on_delivery=lambda error, _: answers.append(error)
            )
        except (KafkaException, BufferError) as error:
            self._producer = None  # one that refuses to take a message, by a fatal error, never takes one again
            time.sleep(1.0)
            return error
        while not answers:
            self._producer.poll(1.0)
        return answers[0]
