"""Everything counted under faults: on three brokers, whatever is killed, frozen, cut or moved.

`make chaos` runs it. The seed is printed; `HEADRACE_TEST_SEED` repeats the order of the faults,
though not the moments at which processes happen to be.
"""

import os
from contextlib import ExitStack

import pytest

from app.settings import Settings
from app.stream import topics
from tests.chaos import faults, report
from tests.chaos.conftest import PARTITIONS
from tests.chaos.fleet import Fleet
from tests.chaos.scene import POLICY, Scene
from tests.chaos.traffic import DEPLOYS, METRICS, Traffic, make_topics
from tests.processes import wait_for

SERVICES = 200
RATE = 200
"""Samples a second."""

PLAN = [
    *[("a worker killed (SIGKILL) at random", faults.killed, 1)] * 12,
    *[("killed after a journal write", faults.killed_at("journal"), 2)],
    *[("killed after its decisions", faults.killed_at("decisions"), 2)],
    *[("killed after its state", faults.killed_at("state"), 2)],
    *[("killed after a commit", faults.killed_at("commit"), 2)],
    *[("a worker frozen for 20 s (SIGSTOP), awake again", faults.frozen, 1)] * 3,
    *[("a worker joined", faults.joined, 1)] * 4,
    *[("a worker left (SIGTERM)", faults.left, 1)] * 4,
    *[("two workers with one name", faults.same_name, 1)] * 2,
    *[("a broker killed and restarted", faults.broker_killed, 1)] * 4,
    *[("the controller killed and restarted", faults.controller_killed, 1)] * 3,
    *[("a broker killed while a worker starts", faults.broker_killed_at_start, 1)] * 2,
    *[("all brokers restarted one by one", faults.brokers_restarted, 1)] * 2,
    *[("a broker frozen for 20 s", faults.broker_frozen, 1)] * 2,
    *[("the leaders of a topic moved", faults.leader_moved, 1)] * 6,
    *[("a slow network (150 ms each way)", faults.network("slow"), 1)] * 2,
    *[("connections cut again and again", faults.network("cut"), 1)] * 2,
    *[("a network split for 12 s", faults.network("split"), 1)] * 2,
    *[("a transaction aborted", faults.transaction("aborted"), 1)] * 4,
    *[("a transaction committed", faults.transaction("committed"), 1)] * 2,
    *[("a transaction left open", faults.transaction("forgotten"), 1)] * 2,
]
"""What happens, how it is told, and how many faults it is."""


@pytest.mark.timeout(2400)
def test_every_fact_is_counted_once_whatever_happens(cluster, chaos_env, processes, tmp_path, seed):
    settings = Settings(
        kafka_url=f"kafka://{cluster.bootstrap}", partitions=PARTITIONS, replication=3, metric_topics=",".join(METRICS),
        event_topics=DEPLOYS, instance_topics="",
    )  # fmt: skip
    make_topics(settings)
    topics.init(settings)
    cluster.whole()
    fleet = Fleet(processes, chaos_env)
    for name in faults.NAMED:
        fleet.start(name, named=True)
    (tmp_path / "policy.yaml").write_text(POLICY)
    apply = processes.start(["headrace", "policy", "apply", str(tmp_path / "policy.yaml")], fleet.env)
    wait_for(lambda: apply.code == 0, 60, "policy apply")
    with ExitStack() as stack:
        traffic = stack.enter_context(Traffic(settings, SERVICES, RATE, seed))
        scene = Scene(settings, fleet, traffic, seed, cluster)
        stack.callback(scene.book.close)
        wait_for(lambda: scene.book.read() or scene.in_force(), 120, "the policies in force everywhere")
        traffic.resume()
        plan = _plan(scene)
        for title, fault, times in plan:
            scene.suffer(title, fault, times)
        differing = sum(
            scene.book.check_from_snapshot(partition, len(kept) // 2)
            for partition, kept in scene.book.snapshots.items()
        )
    assert differing == 0
    report.counted(scene, seed)


def _plan(scene: Scene) -> list:
    """The faults in an order of their own; with `HEADRACE_CHAOS` only those whose title has these words in it."""
    words = os.environ.get("HEADRACE_CHAOS", "")
    plan = [one for one in PLAN if words in one[0]]
    scene.dice.shuffle(plan)
    return plan
