"""Ends a process that owns work and does not do it. One for each app, in a thread of its own.

Whatever hangs, a handler, the loop or the consumer, Kafka takes the process for alive as long as
its heartbeats go on, and nobody else gets its partitions. So the watchdog asks Kafka itself, not
the consumer, how far the topics go, and ends the process with a sentence when a partition with
something to read has not moved for `HEADRACE_STALL_S`. While Kafka does not answer, or the app
says what it waits for, no time passes. It also keeps the metrics of lag and transport.
"""

import threading
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any, Final

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]
from faust.types.tuples import TP

from app import metrics
from app.settings import Settings
from app.stream.answered import answered
from app.stream.ending import broken

TIMEOUT_S: Final = 5.0
LOOK_S: Final = 5.0

REBALANCE_S: Final = 90.0
"""Longest that a start or a rebalance may take, at least: Kafka waits a minute for a member that is at work."""


class Still:
    """For how long things have not changed."""

    def __init__(self) -> None:
        self._seen: dict[object, tuple[object, float]] = {}

    def for_s(self, thing: object, mark: object, now: float) -> float:
        """Seconds since `mark` of a thing became what it is."""
        seen, since = self._seen.get(thing, (None, now))
        if seen != mark or thing not in self._seen:
            since = now
        self._seen[thing] = (mark, since)
        return now - since

    def only(self, things: Iterable[object]) -> None:
        """Forget all others."""
        self._seen = {thing: self._seen[thing] for thing in things if thing in self._seen}


class Kafka:
    """What the watchdog asks of the cluster, by a client of its own; everything raises KafkaException."""

    def __init__(self, settings: Settings) -> None:
        self._admin = AdminClient(settings.librdkafka(log_level=0))

    def ends(self, tps: Iterable[TP]) -> dict[TP, int]:
        """How far each partition can be read, up to an open transaction; those that do not answer are left out."""
        return self._offsets(tps, OffsetSpec.latest())  # type: ignore[no-untyped-call]

    def starts(self, tps: Iterable[TP]) -> dict[TP, int]:
        """Where each partition begins; those that do not answer are left out."""
        return self._offsets(tps, OffsetSpec.earliest())  # type: ignore[no-untyped-call]

    def _offsets(self, tps: Iterable[TP], spec: OffsetSpec) -> dict[TP, int]:
        asked = {TopicPartition(*tp): spec for tp in tps}
        if not asked:
            self._admin.list_topics(timeout=TIMEOUT_S)  # only to know that it answers
            return {}
        futures = self._admin.list_offsets(
            asked, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=TIMEOUT_S
        )
        found: dict[TP, int] = {}
        failed: KafkaException | None = None
        for one, future in futures.items():
            try:
                found[TP(one.topic, one.partition)] = answered(future, TIMEOUT_S).offset
            except KafkaException as error:  # its leader is away: no fault of ours
                failed = error
        if failed and not found:
            raise failed
        return found

    def unowned(self, group: str, topics: Iterable[str]) -> list[TP]:
        """Partitions of the topics that no member of a stable group has."""
        [future] = self._admin.describe_consumer_groups([group], request_timeout=TIMEOUT_S).values()
        members = answered(future, TIMEOUT_S).members
        owned = {TP(tp.topic, tp.partition) for one in members for tp in one.assignment.topic_partitions}
        there = self._admin.list_topics(timeout=TIMEOUT_S).topics
        return [
            TP(name, p) for name in topics if name in there for p in there[name].partitions if (name, p) not in owned
        ]


class Watchdog(threading.Thread):
    """Looks every few seconds at what an app owns, how far it is and how far it could be."""

    def __init__(
        self, app: Any, settings: Settings, *, kafka: Kafka | None = None, end: Callable[[str], Any] = broken
    ) -> None:
        super().__init__(name=f"watchdog {app.conf.id}", daemon=True)
        self._app = app
        self._kafka = kafka or Kafka(settings)
        self._end = end
        self._stall_s = settings.stall_s
        self._still = Still()
        self._lags: set[TP] = set()
        self.stopping = threading.Event()

    def run(self) -> None:
        """Look until the app stops."""
        while not self.stopping.wait(min(LOOK_S, self._stall_s / 6)):
            try:
                why = self.look(monotonic())
            except KafkaException:
                self._still.only(())  # nobody moves while Kafka is away
            else:
                if why and not self.stopping.is_set():
                    self._end(why)

    def look(self, now: float) -> str:
        """What stands still, in a sentence; empty when nothing does. Raises KafkaException if Kafka does not answer."""
        consumer = self._app.consumer
        if not consumer.flow_active or self._app.rebalancing or not consumer.assigned_once:
            self._kafka.ends(())
            self._still.only(["rebalance"])
            longest_s = max(REBALANCE_S, self._stall_s)
            if self._still.for_s("rebalance", consumer.assigned_once, now) >= longest_s:
                return f"{self._app.conf.id} has waited for its partitions for {longest_s:.0f} s, and Kafka is there"
            return ""
        owned = [tp for tp in consumer.assignment() if tp.topic in self._app.block_topics]
        ends = self._kafka.ends(owned)
        self._tell(consumer, ends)
        if not owned:
            return self._nothing_owned(now)
        return self._not_moving(consumer, ends, now)

    def _nothing_owned(self, now: float) -> str:
        """With more workers than partitions that is right, if somebody else has them all."""
        unowned = self._kafka.unowned(self._app.conf.id, self._app.block_topics)
        self._still.only(["nothing"])
        if unowned and self._still.for_s("nothing", bool(unowned), now) >= self._stall_s:
            return f"{self._app.conf.id} has no partition, and nobody has {_name(unowned[0])}, which is there"
        if not unowned:
            self._still.only(())
        return ""

    def _not_moving(self, consumer: Any, ends: dict[TP, int], now: float) -> str:
        behind = {tp: end for tp, end in ends.items() if consumer.positions.done.get(tp, end) < end}
        if self._app.waits_for():
            behind = {}
        self._still.only(behind)
        for tp, end in behind.items():
            still = self._still.for_s(tp, consumer.positions.progress_of(tp), now) >= self._stall_s
            # what retention took to the last record cannot be read, and no block will come to say so
            if still and self._kafka.starts([tp]).get(tp, 0) < end:
                return (
                    f"{_name(tp)} has stood at {consumer.positions.done[tp]} of {end} for {self._stall_s:.0f} s; "
                    "whoever starts next reads on from there"
                )
        return ""

    def _tell(self, consumer: Any, ends: dict[TP, int]) -> None:
        app = self._app.conf.id
        for tp in self._lags - ends.keys():
            metrics.LAG.remove(app, tp.topic, str(tp.partition))
        for tp, end in ends.items():
            metrics.LAG.labels(app, tp.topic, str(tp.partition)).set(max(0, end - consumer.positions.done.get(tp, end)))
        self._lags = set(ends)
        for what, count in consumer.told().items():
            metrics.TRANSPORT.labels(app, what).set(count)


def _name(tp: TP) -> str:
    return f"{tp.topic}[{tp.partition}]"
