"""What the topics hold, read as it grows, beside a second engine that folds the same journal from its beginning.

Every state that was ever written must be, byte for byte, the one the second engine had at that
place; every decision likewise. Whether the second engine is right itself is not left to it: what
it holds is compared with `tests.chaos.traffic.Sent`, which is made of what was sent.
"""

from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass, fields
from hashlib import blake2b
from time import monotonic

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from app.history.replay import replay
from app.policy import decision as decisions
from app.policy.decision import Reason, place_of
from app.policy.facts import Record, Reported, Samples, decode
from app.policy.state import State, empty, pack, unpack
from app.policy.step import step
from app.settings import Settings
from app.stream import client
from app.stream.answered import answered
from app.stream.topics import CHANGELOG, DECISIONS, JOURNAL, QUARANTINE, SNAPSHOTS
from app.wire import quarantine
from tests.chaos.traffic import Sent
from tests.processes import wait_for

READ = (JOURNAL, CHANGELOG, SNAPSHOTS, DECISIONS, QUARANTINE)


@dataclass
class Found:
    """What a count found wrong; all zero is right. `repeats` are allowed: facts and decisions written again."""

    lost: int = 0
    twice: int = 0
    other: int = 0
    decisions: int = 0
    states: int = 0
    quarantined: int = 0
    repeats: int = 0

    @property
    def wrong(self) -> int:
        return sum(getattr(self, one.name) for one in fields(self) if one.name != "repeats")

    def add(self, other: "Found") -> None:
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))


class Book:
    """The topics so far, and the second engine."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.partitions = settings.partitions
        self._consumer = Consumer(
            settings.librdkafka(log_level=0)
            | {"group.id": "the-book", "enable.auto.commit": False, "fetch.message.max.bytes": 9_000_000}
        )
        counts = {topic: client.partitions_of(settings, topic) for topic in READ}
        self._next = {(topic, p): 0 for topic, count in counts.items() for p in range(count)}
        self._consumer.assign([TopicPartition(topic, p, 0) for topic, p in self._next])
        self.engine = [empty(p) for p in range(self.partitions)]
        self._passed: list[dict[int, bytes]] = [{} for _ in range(self.partitions)]
        self.written: dict[int, int] = {}
        """Next offset of the newest written state, by partition."""
        self.counted: Counter[int] = Counter()
        """Samples in it."""
        self._unchecked: list[tuple[int, int, bytes]] = []
        self.snapshots: dict[int, list[tuple[int, bytes]]] = defaultdict(list)
        self.given: dict[str, bytes] = {}
        self.recorded: dict[str, bytes] = {}
        self.found = Found()
        self.on_journal = 0
        """Samples on the journal, repeats among them."""
        self._repeats = self._deploys_again = 0
        self.outcomes: set[str] = set()
        self.deploys: Counter[str] = Counter()
        self.bad: set[str] = set()

    def close(self) -> None:
        self._consumer.close()

    # ---- reading

    def read(self) -> None:
        """Take what comes within a moment."""
        for message in self._consumer.consume(5000, 0.2):
            if message.error() is None:
                self._next[message.topic(), message.partition()] = message.offset() + 1
                self._take(message)

    def read_all(self, timeout_s: float = 120.0) -> None:
        """Take everything up to the ends of now."""
        deadline = monotonic() + timeout_s
        ends = wait_for(self._ends, timeout_s, "Kafka to say where the topics end")
        while True:
            self.read()
            behind = [tp for tp, end in ends.items() if self._next[tp.topic, tp.partition] < end]
            if not behind:
                return
            assert monotonic() < deadline, f"the ends of {behind} were not read within {timeout_s:.0f} s"

    def _ends(self) -> dict[TopicPartition, int] | None:
        wanted = {TopicPartition(*tp): OffsetSpec.latest() for tp in self._next}
        admin = AdminClient(self.settings.librdkafka(log_level=0))  # one that is kept asks leaders of long ago
        with suppress(KafkaException):  # a leader that was moved a moment ago; asked again
            return {tp: answered(future, 60).offset for tp, future in admin.list_offsets(wanted).items()}
        return None

    def _take(self, message) -> None:
        partition, value = message.partition(), message.value()
        match message.topic():
            case "headrace.journal":
                self._fold(Record(partition, message.offset(), message.timestamp()[1], decode(value)))
            case "headrace.decisions":
                self._record(value)
            case "headrace.quarantine":
                one = quarantine.decode(value)
                self.found.repeats += one.value.decode() in self.bad
                self.bad.add(one.value.decode())
            case topic:
                state = unpack(value)
                self._unchecked.append((partition, state.next_offset, _digest(value)))
                if topic == SNAPSHOTS:
                    self.snapshots[partition].append((state.next_offset, value))
                else:
                    self.written[partition] = state.next_offset
                    self.counted[partition] = state.samples

    def _fold(self, record: Record) -> None:
        if isinstance(record.fact, Samples):
            self.on_journal += len(record.fact.index)
        elif isinstance(record.fact, Reported):
            self.outcomes.add(record.fact.outcome.id)
        state, decided = step(self.engine[record.partition], record)
        self.engine[record.partition] = state
        self._passed[record.partition][state.next_offset] = _digest(pack(state))
        for one in decided:
            self.given[one.id] = _digest(decisions.encode(one))
            if one.reason is Reason.EVENT_SEEN and one.event is not None:
                self.deploys[one.event.version] += 1
            self.found.twice += one.reason is Reason.EVENT_REPEATED

    def _record(self, value: bytes) -> None:
        one, digest = decisions.decode(value).id, _digest(value)
        self.found.repeats += one in self.recorded
        self.found.decisions += self.recorded.setdefault(one, digest) != digest

    # ---- comparing

    def has(self, sent: Sent) -> bool:
        """Whether the written states hold as many samples as were sent, in each partition, and all else is read."""
        self.read()
        return (
            all(self.counted[p] >= count for p, count in sent.by_partition.items())
            and self.outcomes >= sent.outcomes
            and self.deploys.keys() >= sent.deploys
            and self.bad >= sent.bad
        )

    def read_until_ms(self) -> int:
        """How far the intakes have read, as every partition was told."""
        return min(state.read_until_ms for state in self.engine)

    def check(self, sent: Sent) -> Found:
        """Compare everything with what was sent and with the second engine."""
        self.read_all()
        found, self.found = self.found, Found()
        repeats = self.on_journal - sum(state.samples for state in self.engine)
        found.repeats += repeats - self._repeats
        self._repeats = repeats
        self._compare_samples(sent, found)
        found.lost += len(sent.deploys - self.deploys.keys()) + len(sent.outcomes - self.outcomes)
        found.twice += sum(count - 1 for count in self.deploys.values()) - (sent.deploys_again - self._deploys_again)
        self._deploys_again = sent.deploys_again
        found.quarantined += len(self.bad ^ sent.bad)
        self._compare_states(found)
        self._compare_decisions(found)
        return found

    def _compare_samples(self, sent: Sent, found: Found) -> None:
        """The series that the second engine remembers, each with its samples, against the series that were sent."""
        held = {}
        for state in self.engine:
            for name, service in state.services.items():
                for words, series in service.series.items():
                    buckets = series.window.buckets
                    held[name, series.name, words.partition("host=")[2]] = [
                        sum(one.samples for one in buckets), sum(one.total for one in buckets),
                        series.at_ms, series.value,
                    ]  # fmt: skip
        for key, wanted in sent.series.items():
            have = held.pop(key, [0, 0, -1, 0])
            found.lost += max(0, wanted[0] - have[0])
            found.twice += max(0, have[0] - wanted[0])
            found.other += have != wanted
        found.other += len(held)

    def _compare_states(self, found: Found) -> None:
        """Every state that was written, also by a worker that had been replaced."""
        read, self._unchecked = self._unchecked, []
        if any(offset > self.engine[partition].next_offset for partition, offset, _ in read):
            self.read_all()  # written after it was asked where the journal ends: what they are of is there by now
        found.states += sum(self._passed[partition].get(offset) != digest for partition, offset, digest in read)

    def _compare_decisions(self, found: Found) -> None:
        found.decisions += sum(self.given.get(one) != digest for one, digest in self.recorded.items())
        for one in self.given.keys() - self.recorded.keys():
            _, partition, offset, _ = place_of(one)
            found.decisions += offset < self.written.get(partition, 0)

    def check_from_snapshot(self, partition: int, snapshot: int) -> int:
        """Replay from a snapshot of a partition to the end; how many decisions are others than from the beginning."""
        start, raw = self.snapshots[partition][snapshot]
        end = self.engine[partition].next_offset
        records = (
            Record(m.partition, m.offset, m.timestamp_ms, decode(m.value))
            for m in client.read_topic(self.settings, JOURNAL, {partition: start}, {partition: end})
        )
        again: dict[int, State] = {partition: unpack(raw)}
        from_it = {one.id: _digest(decisions.encode(one)) for one in replay(records, again)}
        due = {
            one: digest
            for one, digest in self.given.items()
            if place_of(one)[1] == partition and start <= place_of(one)[2] < end
        }
        same_end = _digest(pack(again[partition])) == self._passed[partition][end]
        return len(from_it.items() ^ due.items()) + (not same_end)


def _digest(raw: bytes) -> bytes:
    return blake2b(raw, digest_size=8).digest()


def owners(settings: Settings, group: str, topics: dict[str, int], members: int) -> str:
    """What is wrong with who owns the partitions of topics in a group; empty if each has one owner, and all live."""
    admin = AdminClient(settings.librdkafka(log_level=0))
    about = admin.describe_consumer_groups([group], request_timeout=30)[group].result(60)
    held = Counter((tp.topic, tp.partition) for one in about.members for tp in one.assignment.topic_partitions)
    odd = [f"{topic}[{p}]: {held[topic, p]}" for topic, n in topics.items() for p in range(n) if held[topic, p] != 1]
    if about.state.name == "STABLE" and not odd and len(about.members) == members:
        return ""
    return f"group {group} is {about.state.name} with {len(about.members)} of {members} members, owners {odd[:5]}"
