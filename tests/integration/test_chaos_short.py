"""The short form of `make chaos`, on one broker: each of the named points, a zombie, a join and a leave, transactions.

The seed is printed; `HEADRACE_TEST_SEED` repeats the order. The long form is tests/chaos.
"""

import os
import time

import pytest

from tests import fresh
from tests.chaos import faults
from tests.chaos.fleet import Fleet
from tests.chaos.scene import Scene
from tests.chaos.traffic import DEPLOYS, METRICS, Load, Traffic

LOAD = Load(services=60, hosts=2, rate=100)

PLAN = [
    ("killed after a journal write, and after decisions", faults.killed_at("journal", "decisions", most=10)),
    ("killed after a state, and after a commit", faults.killed_at("state", "commit", most=10)),
    ("frozen and awake again", faults.frozen_for(9.0)),
    ("joined and left", faults.left),
    ("a transaction aborted", faults.transaction("aborted")),
]


@pytest.mark.timeout(600)
def test_every_fact_is_counted_once_whatever_happens_to_the_workers(settings, headrace_env, processes, tmp_path):
    seed = int(os.environ.get("HEADRACE_TEST_SEED", time.time_ns() % 1_000_000))
    print(f"seed {seed}")
    sources = {"metric_topics": ",".join(METRICS), "event_topics": DEPLOYS, "instance_topics": ""}
    settings = settings.model_copy(update=sources)
    fresh.topics(settings)
    env = {f"HEADRACE_{name.upper()}": value for name, value in sources.items()}
    fleet = Fleet(processes, headrace_env | env | {"HEADRACE_SNAPSHOT_S": "5"})
    for name in faults.NAMED:
        fleet.start(name, named=True)
    with Traffic(settings, LOAD, seed) as traffic:
        scene = Scene(settings, fleet, traffic, seed)
        scene.begin(tmp_path)
        scene.dice.shuffle(plan := list(PLAN))
        for step in plan:
            scene.suffer(*step)
        assert all(scene.book.snapshots[partition] for partition in range(settings.partitions))
        scene.book.close()
