"""How far the intakes have read: the moment up to which every source is committed.

Used by the intake that owns the control topic, once a second, in a thread: it notes where every
source ends, and later sees whether the group has committed that far. Absence is judged against
this moment, so that an intake that is behind does not look like services that are silent.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from app.settings import Settings

TIMEOUT_S: Final = 5.0
NOTES: Final = 600
"""Moments that are remembered while the group is behind: ten minutes of them."""

Ends = dict[tuple[str, int], int]


class Progress:
    """`read_until` of a consumer group over some topics."""

    def __init__(self, settings: Settings, group: str, topics: Iterable[str], now_ms: Callable[[], int]) -> None:
        self._admin = AdminClient(settings.librdkafka(log_level=0))
        self._group = group
        self._topics = tuple(topics)
        self._now_ms = now_ms
        self._notes: deque[tuple[int, Ends]] = deque(maxlen=NOTES)
        self.read_until_ms = 0

    def look(self) -> int:
        """The latest moment up to which all sources were committed, in ms; as before if Kafka does not answer."""
        try:
            committed = self._committed()
            note = (self._now_ms(), self._ends())
        except KafkaException:
            return self.read_until_ms
        self._notes.append(note)
        while self._notes and _reached(self._notes[0][1], committed):
            self.read_until_ms = self._notes.popleft()[0]
        return self.read_until_ms

    def _partitions(self) -> list[TopicPartition]:
        topics = self._admin.list_topics(timeout=TIMEOUT_S).topics
        return [TopicPartition(name, p) for name in self._topics if name in topics for p in topics[name].partitions]

    def _ends(self) -> Ends:
        futures = self._admin.list_offsets(
            {partition: OffsetSpec.latest() for partition in self._partitions()},  # type: ignore[no-untyped-call]
            request_timeout=TIMEOUT_S,
        )
        return {(p.topic, p.partition): future.result(TIMEOUT_S).offset for p, future in futures.items()}

    def _committed(self) -> Ends:
        wanted = ConsumerGroupTopicPartitions(self._group, None)
        future = self._admin.list_consumer_group_offsets([wanted], request_timeout=TIMEOUT_S)[self._group]
        found = future.result(TIMEOUT_S).topic_partitions or []
        return {(p.topic, p.partition): p.offset for p in found}


def _reached(ends: Ends, committed: Ends) -> bool:
    return all(committed.get(partition, 0) >= end for partition, end in ends.items())
