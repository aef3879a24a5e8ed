"""The stage for faults: a cluster, workers, traffic and the book, and the count that follows each fault.

`Scene.suffer` has one fault happen, waits until everything that was sent meanwhile is in written
states, and compares. `tests.chaos.faults` says what can happen, `tests.chaos.report` what came of it.
"""

import random
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, time

from confluent_kafka import KafkaException

from app.settings import Settings
from app.stream import client
from app.stream.topics import CONTROL, JOURNAL, OUTCOMES
from tests.chaos.book import Book, Found, owners
from tests.chaos.cluster import Cluster
from tests.chaos.fleet import Fleet
from tests.chaos.traffic import Traffic
from tests.processes import last_lines, wait_for

PATIENCE_S = 240.0
"""Longest wait for everything to be in order again; seconds on an idle machine."""

POLICY = """
apiVersion: headrace/v1
kind: Scale
metadata: {name: flap}
spec:
  service: "*"
  minReplicas: 1
  maxReplicas: 6
  metrics:
    - type: Resource
      resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}
  behavior: {scaleDown: {stabilizationWindowSeconds: 0}}
  for: {up: 0s, down: 0s}
  every: 1s
  stale: 1h
---
apiVersion: headrace/v1
kind: Alert
metadata: {name: never}
spec:
  service: "*"
  expr: 'sum("calls", "1h") + count("cpu", "1h") < 0.0'
  stale: 1h
"""
"""Scalings all the time; and windows of an hour, so that a state remembers how many samples a series had."""


def begin(fleet: Fleet, directory: Path) -> None:
    """Hand the policies over."""
    file = directory / "policy.yaml"
    file.write_text(POLICY)
    apply = fleet.processes.start(["headrace", "policy", "apply", str(file)], fleet.env)
    wait_for(lambda: apply.code == 0, PATIENCE_S, "policy apply")


@dataclass
class Row:
    """What came of one kind of fault."""

    title: str
    times: int = 0
    sent: int = 0
    recoveries: list[float] = field(default_factory=list)
    found: Found = field(default_factory=Found)

    def add(self, other: "Row") -> None:
        """Take what came of another kind too."""
        self.times += other.times
        self.sent += other.sent
        self.recoveries += other.recoveries
        self.found.add(other.found)


class Scene:
    """Everything that takes part. `cluster` is None where there is one broker only."""

    def __init__(
        self, settings: Settings, fleet: Fleet, traffic: Traffic, seed: int, cluster: Cluster | None = None
    ) -> None:
        self.settings, self.fleet, self.traffic, self.cluster = settings, fleet, traffic, cluster
        self.dice = random.Random(seed)
        self.book = Book(settings)
        self.rows: dict[str, Row] = {}
        self.names = 0
        self._counted = 0
        sources = [*settings.sources, CONTROL, OUTCOMES]
        self._owned = {
            "intake": {topic: client.partitions_of(settings, topic) for topic in sources},
            "auto-scaler": {JOURNAL: settings.partitions},
        }

    def begin(self, directory: Path) -> None:
        """Put the policies in force, and then begin to send: a series is remembered where a policy reads it."""
        begin(self.fleet, directory)
        self._wait(lambda: self.book.read() or self.in_force(), "the policies in force everywhere")
        self.traffic.resume()

    def fresh_name(self) -> str:
        self.names += 1
        return f"guest{self.names}"

    def in_force(self) -> bool:
        """Whether every partition has policies."""
        return all(state.fingerprint for state in self.book.engine)

    def let(self, seconds: float) -> None:
        """Let time pass, and the supervisor do its work."""
        deadline = monotonic() + seconds
        while monotonic() < deadline:
            self.fleet.supervise()
            self.book.read()

    def suffer(self, title: str, fault, times: int = 1) -> None:
        """One fault, and the count after it; fails if anything is not as it should be."""
        began = monotonic()
        fault(self)
        recovery_s = self.recover()
        row = self.rows.setdefault(title, Row(title))
        row.times += times
        row.recoveries.append(recovery_s)
        found = self.count(row)
        print(f"{monotonic() - began:6.1f} s  {title}: back after {recovery_s:.1f} s, {found}", flush=True)
        assert not found.wrong, f"after {title}: {found}"

    def recover(self) -> float:
        """Wait until what was sent up to now is in written states, every partition has its owner, and the intakes say
        that they have read so far; the seconds of the first."""
        began, now_ms = monotonic(), time() * 1000
        sent = self.traffic.so_far()
        self._wait(lambda: self.book.has(sent), "what was sent to be in the states")
        recovery_s = monotonic() - began
        self._wait(lambda: not self._homeless(), "every partition to have an owner that lives")
        self._wait(lambda: self.book.read() or self.book.read_until_ms() >= now_ms, "read_until to go on")
        return recovery_s

    def count(self, row: Row) -> Found:
        """Everything that was sent, with nothing under way, against everything that is written."""
        sent = self.traffic.pause(PATIENCE_S)
        self._wait(lambda: self.book.has(sent), "all that was sent to be in the states")
        sent = self.traffic.look_for_repeats()
        self._wait(lambda: self.book.has(sent), "what Kafka has twice to be in the states")
        found = self.book.check(sent)
        partition = self.dice.randrange(self.settings.partitions)
        if kept := self.book.snapshots[partition]:
            found.decisions += self.book.check_from_snapshot(partition, self.dice.randrange(len(kept)))
        row.sent += sent.facts - self._counted
        self._counted = sent.facts
        row.found.add(found)
        self.traffic.resume()
        return found

    def _homeless(self) -> str:
        with suppress(KafkaException):  # a coordinator that moves; asked again
            members = len(self.fleet.running)
            return "; ".join(filter(None, (owners(self.settings, *one, members) for one in self._owned.items())))
        return "Kafka does not say"

    def _wait(self, condition, what: str) -> None:
        def tried():
            self.fleet.supervise()
            return condition()

        try:
            wait_for(tried, PATIENCE_S, what)
        except AssertionError as error:
            raise AssertionError(f"{error}; {self._told()}") from None

    def _told(self) -> str:
        """What can be said of a wait that was too long."""
        sent = self.traffic.so_far()
        behind = {p: n - self.book.counted[p] for p, n in sent.by_partition.items() if n != self.book.counted[p]}
        bad = len(sent.bad - self.book.bad)
        logs = {name: last_lines(one, 3) for name, one in self.fleet.running.items()}
        return (
            f"samples missing by partition {behind}, outcomes {len(sent.outcomes - self.book.outcomes)}, deploys "
            f"{len(sent.deploys - self.book.deploys.keys())}, bad {bad}; owners: {self._homeless()}; logs: {logs}"
        )
