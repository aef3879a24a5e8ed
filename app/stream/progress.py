"""How far the intakes have read: the moment up to which every source is committed.

Used by the intake that owns the control topic, once a second, in a thread: it notes where every
source ends, and later sees whether the group has committed that far. Absence is judged against
this moment, so that an intake that is behind does not look like services that are silent.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from app.settings import Settings
from app.stream.answered import answered

TIMEOUT_S: Final = 5.0
NOTES: Final = 600
"""Moments that are remembered while the group is behind: ten minutes of them."""

Ends = dict[tuple[str, int], int]


class Progress:
    """`read_until` of a consumer group over some topics."""

    def __init__(self, settings: Settings, group: str, topics: Iterable[str], now_ms: Callable[[], int]) -> None:
        config = settings.librdkafka(log_level=0)
        self._admin = AdminClient(config)
        # not asked of the admin client: where the coordinator has moved, that ends the process in its C code
        # (rd_kafka_cgrp_op of librdkafka 2.16 is given the group that only a consumer has)
        self._member = Consumer(config | {"group.id": group, "enable.auto.commit": False})
        self._topics = tuple(topics)
        self._now_ms = now_ms
        self._notes: deque[tuple[int, Ends]] = deque(maxlen=NOTES)
        self.read_until_ms = 0

    def look(self) -> int:
        """The latest moment up to which all sources were committed, in ms; as before if Kafka does not answer."""
        try:
            partitions = self._partitions()
            committed = self._committed(partitions)
            note = (self._now_ms(), self._ends(partitions))
        except KafkaException:
            return self.read_until_ms
        self._notes.append(note)
        while self._notes and _reached(self._notes[0][1], committed):
            self.read_until_ms = self._notes.popleft()[0]
        return self.read_until_ms

    def _partitions(self) -> list[TopicPartition]:
        topics = self._admin.list_topics(timeout=TIMEOUT_S).topics
        return [TopicPartition(name, p) for name in self._topics if name in topics for p in topics[name].partitions]

    def _ends(self, partitions: Iterable[TopicPartition]) -> Ends:
        futures = self._admin.list_offsets(
            {partition: OffsetSpec.latest() for partition in partitions},  # type: ignore[no-untyped-call]
            request_timeout=TIMEOUT_S,
        )
        return {(p.topic, p.partition): answered(future, TIMEOUT_S).offset for p, future in futures.items()}

    def _committed(self, partitions: list[TopicPartition]) -> Ends:
        self._member.poll(0)  # it has no partitions; what it has to say of lost connections would pile up
        found = self._member.committed(partitions, TIMEOUT_S)
        return {(p.topic, p.partition): p.offset for p in found if p.offset >= 0}


def _reached(ends: Ends, committed: Ends) -> bool:
    return all(committed.get(partition, 0) >= end for partition, end in ends.items())
