"""Outcomes to Kafka, acknowledged by it before RabbitMQ's delivery is acknowledged by us."""

from typing import Final

import structlog
from confluent_kafka import KafkaException, Producer

from tasks.contract import Outcome, encode
from tasks.settings import Settings

TOPIC: Final = "headrace.outcomes"
TRY_MS: Final = 10_000
"""Milliseconds after which a try that Kafka has not acknowledged is given up and made anew."""

log = structlog.get_logger()


class Outcomes:
    """Writes outcomes; made after a worker process has forked, since librdkafka's threads do not survive that."""

    def __init__(self, settings: Settings) -> None:
        config = settings.librdkafka()
        ours = {"enable.idempotence": True, "linger.ms": 0, "delivery.timeout.ms": TRY_MS, "log_level": 0}
        self._producer = Producer(config | ours) if config else None

    def write(self, outcome: Outcome) -> None:
        """Return when Kafka has the outcome, however long that takes: the delivery is held meanwhile.

        Without a Kafka there is nothing to write: the ledger has it.
        """
        if self._producer is None:
            return
        tries = 0
        while not self._written(outcome):
            if tries == 0:
                log.warning("outcome_waits", id=outcome.id, why="Kafka does not acknowledge it")
            tries += 1

    def _written(self, outcome: Outcome) -> bool:
        assert self._producer is not None
        answers: list[object] = []
        try:
            self._producer.produce(
                TOPIC, encode(outcome), outcome.service.encode(), on_delivery=lambda error, _: answers.append(error)
            )
        except (KafkaException, BufferError):
            return False
        while not answers:
            self._producer.poll(1.0)
        return answers == [None]
