"""How soon it goes on: after a kill, a restart, a stop and a rolling restart, with 10,000 series.

Measured and reported beside the goals, not asserted: seconds depend on the machine. What is asserted
is that every fact is counted once here too. What is timed are deploys: each is decided about as soon
as it is read, exactly once, and says when it was sent.
"""

import signal
import time
from collections import defaultdict

import pytest
from confluent_kafka.admin import AdminClient

from app.policy import decision as decisions
from app.policy.decision import Reason
from app.stream import client
from app.stream.topics import DECISIONS, JOURNAL
from tests.chaos import report, timed
from tests.chaos.fleet import Fleet
from tests.chaos.scene import Row, Scene
from tests.chaos.traffic import Load, Traffic

LOAD = Load(services=500, hosts=10, rate=500, deploys=20)
ROUNDS = 1


class Stage:
    """The scene, with what is asked of it here."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.fleet = scene.fleet

    def ready(self) -> None:
        """Everything has its owner, everything that was sent is decided about."""
        self.scene.recover()
        time.sleep(3)

    def owned(self) -> dict[str, set[int]]:
        """Journal partitions of each member of the auto-scaler's group."""
        admin = AdminClient(self.scene.settings.librdkafka())
        about = admin.describe_consumer_groups(["auto-scaler"])["auto-scaler"].result(60)
        return {
            one.member_id: {tp.partition for tp in one.assignment.topic_partitions if tp.topic == JOURNAL}
            for one in about.members
        }

    def decided(self, since_ms: float) -> dict[int, list[tuple[int, int]]]:
        """For each partition when deploys were decided about since then: (recorded, sent), in milliseconds."""
        settings = self.scene.settings
        start = client.offsets_at(settings, DECISIONS, int(since_ms))
        found = defaultdict(list)
        for message in client.read_topic(settings, DECISIONS, start, client.borders(settings, DECISIONS)[1]):
            one = decisions.decode(message.value)
            if one.reason is Reason.EVENT_SEEN and message.timestamp_ms >= since_ms:
                found[message.partition].append((message.timestamp_ms, one.event.at_ms))
        return found


@pytest.mark.timeout(1200)
def test_how_soon_it_goes_on(chaos_settings, cluster, chaos_env, processes, tmp_path, seed):
    with Traffic(chaos_settings, LOAD, seed) as traffic:
        scene = Scene(chaos_settings, Fleet(processes, chaos_env), traffic, seed, cluster)
        stage = Stage(scene)
        scene.fleet.start("one")
        scene.begin(tmp_path, fill=True)
        stage.ready()
        figures = {"failover": [], "restart": [], "state": [], "stop": [], "rolling": []}
        for _ in range(ROUNDS):
            figures["failover"].append(_survivor(stage))
        for _ in range(ROUNDS):
            figures["stop"].append(_stop(stage))
        figures["rolling"].append(_rolling(stage))
        scene.fleet.stop("one")
        for _ in range(ROUNDS):
            total_s, state_s = _restart(stage)
            figures["restart"].append(total_s)
            figures["state"].append(state_s)
        found = scene.count(Row("seconds"))
        scene.book.close()
    print({name: [f"{one:.2f}" for one in values] for name, values in figures.items()})
    assert not found.wrong, found
    report.timed(
        figures,
        f"{LOAD.series:,} series of {LOAD.services} services in {chaos_settings.partitions} journal partitions, "
        f"{LOAD.rate} samples and {LOAD.deploys} deploys a second.",
    )


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
    firsts = [recorded - at_ms for p, found in stage.decided(at_ms).items() if p in theirs for recorded, _ in found]
    return min(firsts) / 1000


def _restart(stage: Stage) -> tuple[float, float]:
    """Seconds from the kill of the only worker, which has a name and is started at once, to its first decision."""
    if "only" not in stage.fleet.running:
        stage.fleet.timed("only")
        stage.ready()
    at_ms = time.time() * 1000
    stage.fleet.kill("only")
    again = stage.fleet.timed("only")
    stage.ready()
    said = next(line for line in again.text.splitlines() if line.startswith(timed.SAID))
    first_ms = min(recorded for found in stage.decided(at_ms).values() for recorded, _ in found)
    return (first_ms - at_ms) / 1000, float(said.removeprefix(timed.SAID).split()[0])


def _stop(stage: Stage) -> float:
    """Seconds from SIGTERM to the end of the only worker; everything that it wrote is committed then."""
    one = stage.fleet.running.pop("one")
    began = time.monotonic()
    one.signal(signal.SIGTERM)
    one.stop(60)
    took_s = time.monotonic() - began
    assert one.code == 0
    scene = stage.scene
    scene.book.read_all()
    assert client.committed(scene.settings, "auto-scaler", JOURNAL) == scene.book.written
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
