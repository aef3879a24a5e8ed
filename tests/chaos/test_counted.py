"""Everything counted under faults: on three brokers, whatever is killed, frozen, cut or moved.

`make chaos` runs it. The seed is printed; `HEADRACE_TEST_SEED` repeats the order of the faults,
though not the moments at which processes happen to be.
"""

import os

import pytest

from tests.chaos import faults, report
from tests.chaos.fleet import Fleet
from tests.chaos.scene import Scene
from tests.chaos.traffic import Load, Traffic

LOAD = Load(services=200, hosts=3, rate=200)

PLAN = [
    *[("a worker killed (SIGKILL) at random", faults.some(3, faults.killed), 3)] * 4,
    *[("a worker killed after a journal write", faults.killed_at("journal", "journal"), 2)],
    *[("a worker killed after its decisions", faults.killed_at("decisions", "decisions"), 2)],
    *[("a worker killed after its state", faults.killed_at("state", "state"), 2)],
    *[("a worker killed after a commit", faults.killed_at("commit", "commit"), 2)],
    *[("a worker frozen for 20 s (SIGSTOP), awake again", faults.frozen_for(faults.FREEZE_S), 1)] * 3,
    *[("a worker joined", faults.joined, 1)] * 4,
    *[("a worker left (SIGTERM)", faults.left, 1)] * 4,
    *[("two workers with one name", faults.same_name, 1)] * 2,
    *[("a broker killed and restarted", faults.broker_killed, 1)] * 3,
    *[("the controller killed and restarted", faults.controller_killed, 1)] * 2,
    *[("a broker killed while a worker starts", faults.broker_killed_at_start, 1)] * 2,
    *[("the brokers restarted one by one", faults.brokers_restarted, 3)],
    *[("a broker frozen for 20 s", faults.broker_frozen, 1)],
    *[("the leaders of a topic moved", faults.some(2, faults.leader_moved), 2)] * 3,
    *[("a slow network (150 ms each way)", faults.network("slow"), 1)],
    *[("connections cut again and again", faults.network("cut"), 1)],
    *[("a network split for 12 s", faults.network("split"), 1)],
    *[("a transaction aborted", faults.some(4, faults.transaction("aborted")), 4)],
    *[("a transaction committed", faults.some(2, faults.transaction("committed")), 2)],
    *[("a transaction left open", faults.some(2, faults.transaction("forgotten")), 2)],
]
"""What happens, how it is told, and how many faults it is."""


@pytest.mark.timeout(2400)
def test_every_fact_is_counted_once_whatever_happens(chaos_settings, cluster, chaos_env, processes, tmp_path, seed):
    fleet = Fleet(processes, chaos_env)
    for name in faults.NAMED:
        fleet.start(name, named=True)
    with Traffic(chaos_settings, LOAD, seed) as traffic:
        scene = Scene(chaos_settings, fleet, traffic, seed, cluster)
        scene.begin(tmp_path)
        for step in _plan(scene):
            scene.suffer(*step)
        kept = {partition: len(kept) // 2 for partition, kept in scene.book.snapshots.items()}
        assert sum(scene.book.check_from_snapshot(*one) for one in kept.items()) == 0
        scene.book.close()
    faced = sum(row.times for row in scene.rows.values())
    ended = ", ".join(f"{times} with exit code {code}" for code, times in sorted(fleet.ended.items())) or "none"
    report.counted(
        list(scene.rows.values()),
        f"{faced} faults with seed {seed}, {LOAD.services} services, {LOAD.series:,} series, {LOAD.rate} samples a "
        f"second, {chaos_settings.partitions} journal partitions, two to four workers. Workers that ended by "
        f"themselves and were started again by their supervisor: {ended}.",
    )


def _plan(scene: Scene) -> list:
    """The faults in an order of their own; with `HEADRACE_CHAOS` only those whose title has these words in it."""
    words = os.environ.get("HEADRACE_CHAOS", "")
    plan = [one for one in PLAN if words in one[0]]
    scene.dice.shuffle(plan)
    return plan
