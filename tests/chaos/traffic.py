"""What is sent while things break: samples, deploys, outcomes, transactions, and now and then a bad record.

A thread sends at a steady rate and notes what Kafka acknowledged; `Sent` is the reference that the
states are compared with. It is made of what was sent alone, knows nothing of marks or packs, and
does not depend on the order in which samples of different topics are read.
"""

import json
import time
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from app.policy import decision as decisions
from app.policy.facts import partition_of
from app.settings import Settings
from app.stream.topics import DECISIONS, OUTCOMES
from tasks.contract import Kind, Outcome, Scale, Status, encode
from tests.chaos.repeats import Repeats
from tests.chaos.sender import TICK_S, Sender

BAD_EVERY = 60
"""Ticks between two bad records."""

METRICS = {
    "calls_without_key": (3, "none"), "calls_by_host": (5, "lz4"), "calls_by_service": (8, "gzip"),
    "calls_anyhow": (2, "zstd"),
}  # fmt: skip
"""Topics of metrics: partitions, and how their producer compresses."""

DEPLOYS = "deploys"
ABORTED = 1_000_000
"""The value of samples in transactions that are aborted: none may be found anywhere."""


@dataclass
class Sent:
    """What Kafka has acknowledged: versions of deploys, ids of outcomes, texts of bad records, and samples.

    A series is (service, metric, host) → [count, sum, newest time, its value]. Where a record is counts for nothing:
    a producer that repeats a write which was taken already may not be told.
    """

    series: dict[tuple[str, str, str], list[float]] = field(default_factory=dict)
    by_partition: Counter[int] = field(default_factory=Counter)
    deploys: set[str] = field(default_factory=set)
    outcomes: set[str] = field(default_factory=set)
    bad: set[str] = field(default_factory=set)
    deploys_again: int = 0
    """Deploys that Kafka has twice."""

    def add(self, sample: tuple[str, str, str, int, int], partitions: int) -> None:
        *key, at_ms, value = sample
        series = self.series.setdefault(tuple(key), [0, 0, -1, 0])
        series[0] += 1
        series[1] += value
        if at_ms >= series[2]:
            series[2:] = [at_ms, value]
        self.by_partition[partition_of(sample[0], partitions)] += 1

    @property
    def facts(self) -> int:
        return sum(self.by_partition.values()) + len(self.deploys) + len(self.outcomes)


def make_topics(settings: Settings) -> None:
    """The sources, each with partitions of its own number; the product makes the rest."""
    config = {"min.insync.replicas": "2"} if settings.replication >= 3 else {}
    shapes = {topic: count for topic, (count, _) in METRICS.items()} | {DEPLOYS: 4}
    wanted = [NewTopic(topic, count, settings.replication, config=config) for topic, count in shapes.items()]
    admin = AdminClient(settings.librdkafka(log_level=0))
    for future in admin.create_topics(wanted).values():
        future.result(60)


@dataclass(frozen=True)
class Load:
    """How much is sent: samples a second over services with so many hosts, of two series each, and deploys a second."""

    services: int
    hosts: int
    rate: int
    deploys: int = 2

    @property
    def series(self) -> int:
        return self.services * self.hosts * 2


class Traffic(Sender):
    """The sender. It is paused for a count, so that nothing is under way then."""

    def __init__(self, settings: Settings, load: Load, seed: int) -> None:
        super().__init__(settings, seed)
        self.load = load
        self.sent = Sent()
        self._clock_ms = 0
        self._repeats = Repeats(settings, [*METRICS, DEPLOYS])
        self._producers = {topic: self._producer(codec) for topic, (_, codec) in METRICS.items()}
        self._others = self._producer("none")
        config = {"group.id": "the-world", "enable.auto.commit": False, "auto.offset.reset": "earliest"}
        self._consumer = Consumer(settings.librdkafka(log_level=0) | config)
        self._consumer.subscribe([DECISIONS])

    def __exit__(self, *_):
        super().__exit__()
        self._consumer.close()

    def producers(self):
        return [*self._producers.values(), self._others]

    def tick(self):
        self._round()
        self._act(self._consumer)

    def so_far(self) -> Sent:
        with self._lock:
            return deepcopy(self.sent)

    def look_for_repeats(self) -> Sent:
        """What was sent, with what Kafka has twice counted as sent twice."""
        for topic, value in self._repeats.found():
            if topic == DEPLOYS:
                self.sent.deploys_again += 1
            elif value.startswith(b"{"):
                self._counted(_samples(json.loads(value)))
        return self.so_far()

    def fill(self) -> None:
        """Send every series once, before anything else is sent."""
        for service in range(self.load.services):
            for host in range(self.load.hosts):
                self._sample(f"svc{service}", host)
        self.pause()

    def transaction(self, end: str, count: int = 40) -> None:
        """Samples in one transaction, which is committed, aborted or, with `forgotten`, left to Kafka to abort."""
        more = {"transactional.id": f"agent-{time.time_ns()}", "transaction.timeout.ms": 10_000}
        producer = Producer(self.settings.librdkafka(log_level=0) | more)
        producer.init_transactions(60)
        producer.begin_transaction()
        samples = []
        for _ in range(count):
            topic = self.dice.choice(list(METRICS))
            where = self._service(), self.dice.randrange(self.load.hosts)
            message, ours = self._message(*where, None if end == "committed" else ABORTED)
            producer.produce(topic, json.dumps(message), message["host"])
            samples += ours
        assert producer.flush(60) == 0
        if end == "aborted":
            producer.abort_transaction(60)
        elif end == "committed":
            producer.commit_transaction(60)
            with self._lock:
                for sample in samples:
                    self.sent.add(sample, self.settings.partitions)

    def _producer(self, codec: str) -> Producer:
        config = {"acks": "all", "enable.idempotence": True, "linger.ms": 5, "compression.type": codec}
        return Producer(self.settings.librdkafka(log_level=0) | config | {"message.timeout.ms": 600_000})

    def _round(self) -> None:
        self.number += 1
        for _ in range(max(1, round(self.load.rate * TICK_S / 2))):
            self._sample(self._service(), self.dice.randrange(self.load.hosts))
        per_tick = self.load.deploys * TICK_S
        for place in range(int(self.number * per_tick) - int((self.number - 1) * per_tick)):
            self._deploy(self._service(), f"v{self.number}.{place}")
        if self.number % BAD_EVERY == 0:
            bad = f"neither fish nor flesh {self.number}"
            self._send(self._others, "calls_by_host", bad, lambda: self.sent.bad.add(bad), None)

    def _sample(self, service: str, host: int) -> None:
        topic = self.dice.choice(list(METRICS))
        message, samples = self._message(service, host)
        key = {
            "calls_without_key": None, "calls_by_host": message["host"], "calls_by_service": service,
            "calls_anyhow": str(self.dice.random()),
        }[topic]  # fmt: skip
        self._send(self._producers[topic], topic, message, lambda: self._counted(samples), key)

    def _deploy(self, service: str, version: str) -> None:
        deploy = {"type": "deployed", "service": service, "version": version, "at": int(time.time() * 1000)}
        self._send(self._others, DEPLOYS, deploy, lambda: self.sent.deploys.add(version), service)

    def _service(self) -> str:
        return f"svc{self.dice.randrange(self.load.services)}"

    def _message(self, service: str, host: int, value: int | None = None) -> tuple[dict, list]:
        """A message, and its two samples as they should be counted; no two of a series have one time."""
        with self._lock:
            self._clock_ms = at_ms = max(self._clock_ms + 1, int(time.time() * 1000))
        busy = (self.number // 80 + int(service[3:])) % 2
        cpu = value or (self.dice.randrange(80, 100) if busy else self.dice.randrange(10, 30))
        calls = value or self.dice.randrange(1000)
        name = f"{service}-{host}"
        message = {"host": name, "ts": at_ms, "cpu": cpu, "calls": calls}
        return message, _samples(message)

    def _counted(self, samples: list) -> None:
        for sample in samples:
            self.sent.add(sample, self.settings.partitions)

    def _send(self, producer: Producer, topic: str, message: object, taken, key: str | None) -> None:
        def told(error, _at) -> None:
            if error is not None:
                self.refused.append(f"{topic}: {error}")
                return
            with self._lock:
                taken()

        producer.produce(topic, message if isinstance(message, str) else json.dumps(message), key, on_delivery=told)

    def _act(self, consumer: Consumer) -> None:
        """Do what was decided, as the workers would: the outcome of each scaling, as often as it is found."""
        for record in consumer.consume(200, 0):
            action = None if record.error() else decisions.decode(record.value()).action
            if isinstance(action, Scale):
                done = Outcome(
                    id=action.id, action=Kind.SCALE, service=action.service, status=Status.DONE, set=action.to_replicas,
                    generation=action.generation, ended_at_ms=int(time.time() * 1000),
                )  # fmt: skip
                taken = partial(self.sent.outcomes.add, action.id)
                self._send(self._others, OUTCOMES, encode(done).decode(), taken, action.service)


def _samples(message: dict) -> list[tuple[str, str, str, int, int]]:
    """The samples of a message, as they should be counted."""
    host, at_ms = message["host"], message["ts"]
    return [(host.rpartition("-")[0], metric, host, at_ms, message[metric]) for metric in ("cpu", "calls")]
