"""How soon it goes on: after a kill, a restart, a stop and a rolling restart, with 10,000 series.

Measured and reported beside the goals, not asserted: seconds depend on the machine. What is asserted
is that every fact is counted once here too. What is timed are deploys: each is decided about as soon
as it is read, exactly once, and says when it was sent.
"""

import signal
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from app.policy import decision as decisions
from app.policy.decision import Reason
from app.policy.state import unpack
from app.settings import Settings
from app.stream import client
from app.stream.topics import CONTROL, DECISIONS, JOURNAL, OUTCOMES
from tests.chaos import report, timed
from tests.chaos.book import owners
from tests.chaos.fleet import Fleet
from tests.chaos.scene import PATIENCE_S, begin
from tests.chaos.traffic import Load, Traffic
from tests.counting import check_decisions, check_state, states
from tests.processes import wait_for

LOAD = Load(services=500, hosts=10, rate=300, deploys=20)
MANY = Load(services=5000, hosts=10, rate=300, deploys=20)
ROUNDS = 1
LAST_WORDS_MS = 1_000
"""What a worker had on its way when it was killed is recorded in this time; no other decides for it so soon."""


class Stage:
    """Workers under load, with nothing that reads along: on a small machine that would be what is measured."""

    def __init__(self, settings: Settings, fleet: Fleet, traffic: Traffic) -> None:
        self.settings, self.fleet, self.traffic = settings, fleet, traffic
        self.sources = {name: client.partitions_of(settings, name) for name in [*settings.sources, CONTROL, OUTCOMES]}

    def begin(self, directory: Path) -> None:
        """Put the policies in force, send every series once, and go on sending."""
        begin(self.fleet, directory)
        wait_for(lambda: len(self._with_policies()) == self.settings.partitions, PATIENCE_S, "the policies in force")
        self.traffic.fill()
        self.traffic.resume()

    def _with_policies(self) -> set[int]:
        low, high = client.borders(self.settings, DECISIONS)
        return {message.partition for message in client.read_topic(self.settings, DECISIONS, low, high)}

    def ready(self) -> None:
        """Every partition has its owner, and what is there now is committed."""
        wait_for(self._owned_by_all, PATIENCE_S, "every partition to have an owner that lives")
        ends = {("intake", topic): client.borders(self.settings, topic)[1] for topic in self.sources}
        wait_for(lambda: all(self._committed(*one, end) for one, end in ends.items()), PATIENCE_S, "the intake")
        end = client.borders(self.settings, JOURNAL)[1]
        wait_for(lambda: self._committed("auto-scaler", JOURNAL, end), PATIENCE_S, "the auto-scaler")

    def _owned_by_all(self) -> bool:
        wanted = {"intake": self.sources, "auto-scaler": {JOURNAL: self.settings.partitions}}
        with suppress(KafkaException):
            return not any(owners(self.settings, *one, len(self.fleet.running)) for one in wanted.items())
        return False

    def _committed(self, group: str, topic: str, end: dict[int, int]) -> bool:
        done = client.committed(self.settings, group, topic)
        return all(done.get(partition, 0) >= offset for partition, offset in end.items())

    def owned(self) -> dict[str, set[int]]:
        """Journal partitions of each member of the auto-scaler's group."""
        admin = AdminClient(self.settings.librdkafka())
        about = admin.describe_consumer_groups(["auto-scaler"])["auto-scaler"].result(60)
        return {
            one.member_id: {tp.partition for tp in one.assignment.topic_partitions if tp.topic == JOURNAL}
            for one in about.members
        }

    def decided(self, since_ms: float) -> dict[int, list[tuple[int, int]]]:
        """For each partition when deploys were decided about since then: (recorded, sent), in milliseconds."""
        settings = self.settings
        start = client.offsets_at(settings, DECISIONS, int(since_ms))
        found = defaultdict(list)
        for message in client.read_topic(settings, DECISIONS, start, client.borders(settings, DECISIONS)[1]):
            one = decisions.decode(message.value)
            if one.reason is Reason.EVENT_SEEN and message.timestamp_ms >= since_ms:
                found[message.partition].append((message.timestamp_ms, one.event.at_ms))
        return found


@pytest.mark.timeout(1800)
def test_how_soon_it_goes_on(chaos_settings, chaos_env, processes, tmp_path, seed):
    with Traffic(chaos_settings, LOAD, seed) as traffic:
        stage = Stage(chaos_settings, Fleet(processes, chaos_env), traffic)
        stage.fleet.start("one")
        stage.begin(tmp_path)
        stage.ready()
        figures = {
            "failover": [_survivor(stage) for _ in range(ROUNDS)],
            "stop": [_stop(stage) for _ in range(ROUNDS)],
            "rolling": [_rolling(stage)],
        }
        stage.fleet.stop("one")
        figures["restart"], figures["state"] = zip(*(_restart(stage) for _ in range(ROUNDS)), strict=True)
        _end(stage)
    report.timed(
        figures,
        f"{LOAD.series:,} series of {LOAD.services} services in {chaos_settings.partitions} journal partitions, "
        f"{LOAD.rate} samples and {LOAD.deploys} deploys a second; one to three workers.",
    )


@pytest.mark.timeout(1200)
def test_how_soon_a_worker_with_ten_times_the_series_is_back(chaos_settings, chaos_env, processes, tmp_path, seed):
    with Traffic(chaos_settings, MANY, seed) as traffic:
        stage = Stage(chaos_settings, Fleet(processes, chaos_env), traffic)
        stage.fleet.timed("only")
        stage.begin(tmp_path)
        stage.ready()
        took_s, state_s = zip(*(_restart(stage) for _ in range(3)), strict=True)
        _end(stage)
    report.timed({"large": took_s, "large state": state_s}, f"Ten times as many: {MANY.series:,}.")


def _end(stage: Stage) -> None:
    """The worker that is left ends when all is done; everything that was sent is counted once."""
    sent = stage.traffic.pause()
    stage.ready()
    stage.fleet.stop("only")
    check_state(stage.settings, sum(sent.by_partition.values()))
    check_decisions(stage.settings)


def _survivor(stage: Stage) -> float:
    """Seconds from a kill to the first decision of the survivor about what was the victim's."""
    before = stage.owned()
    stage.fleet.start("victim")
    stage.ready()
    theirs = set().union(*(owned for member, owned in stage.owned().items() if member not in before))
    assert theirs
    at_ms = time.time() * 1000
    stage.fleet.kill("victim")
    stage.ready()
    after = stage.decided(at_ms + LAST_WORDS_MS)
    return (min(recorded for p, found in after.items() if p in theirs for recorded, _ in found) - at_ms) / 1000


def _restart(stage: Stage) -> tuple[float, float]:
    """Seconds from the kill of the only worker, which has a name and is started at once, to its first decision."""
    if "only" not in stage.fleet.running:
        stage.fleet.timed("only")
        stage.ready()
    at_ms = time.time() * 1000
    stage.fleet.kill("only")
    again = stage.fleet.timed("only")
    stage.ready()
    said = again.text.split(timed.SAID)[1]  # a line of its log, whose form is not ours to know
    first_ms = min(recorded for found in stage.decided(at_ms + LAST_WORDS_MS).values() for recorded, _ in found)
    return (first_ms - at_ms) / 1000, float(said.split()[0])


def _stop(stage: Stage) -> float:
    """Seconds from SIGTERM to the end of the only worker; everything that it wrote is committed then."""
    one = stage.fleet.running.pop("one")
    began = time.monotonic()
    one.signal(signal.SIGTERM)
    one.stop(60)
    took_s = time.monotonic() - began
    assert one.code == 0
    written = {partition: unpack(raw).next_offset for partition, raw in states(stage.settings).items()}
    assert client.committed(stage.settings, "auto-scaler", JOURNAL) == written
    stage.fleet.start("one")
    stage.ready()
    return took_s


def _rolling(stage: Stage) -> float:
    """The latest decision, in seconds after its deploy was sent, while three workers are restarted in turn."""
    for name in ("two", "three"):
        stage.fleet.start(name)
    stage.ready()
    at_ms = time.time() * 1000
    for name in ("one", "two", "three"):
        stage.fleet.stop(name)
        stage.fleet.start(name)
        stage.ready()
    for name in ("two", "three"):
        stage.fleet.stop(name)
    stage.ready()
    return max(recorded - sent for found in stage.decided(at_ms).values() for recorded, sent in found) / 1000
