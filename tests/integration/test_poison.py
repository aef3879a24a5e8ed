"""Messages that end, kill, hang or bloat who takes them: dead-lettered with an outcome, neighbours unharmed."""

from pathlib import Path

import pytest

from app.queue import api, topology
from tasks.contract import PARKED_QUEUE, SCHEMA, Status
from tasks.limits import Limit
from tests.processes import wait_for
from tests.rig import LEASE_S, Rig, scaling

ROOT = Path(__file__).parents[2]
LIMIT = 2
"""Deliveries that come again before a message is poison; 20 in the product."""

POISON = {
    "exit": "died, one after another", "kill": "died, one after another", "deaf": "died, one after another",
    "hang": "it took longer than a worker has", "memory": "MemoryError",
}  # fmt: skip


@pytest.fixture
def soon(clean):
    """The queue of scalings gives up on a message after few deliveries."""
    path = "policies/{vhost}/soon"
    ours = topology.POLICIES["headrace-actions"]
    api.call(clean, "PUT", path, ours | {
        "pattern": "^scale$", "priority": 20, "definition": ours["definition"] | {"delivery-limit": LIMIT},
    })  # fmt: skip
    yield clean
    api.call(clean, "DELETE", path)


@pytest.mark.parametrize("poison", POISON)
def test_poison_is_dead_lettered_with_its_outcome_and_its_neighbours_are_done(soon, headrace_env, processes, poison):
    rig = Rig(soon)
    env = headrace_env | {"HEADRACE_LEASE_S": str(LEASE_S), "PYTHONPATH": str(ROOT)}
    running = processes.start(["celery", "-A", "tests.poisoned", "worker", "-l", "info", "-c", "2"], env)
    wait_for(lambda: " ready" in running.text, 40, "the worker to be ready")
    for number in range(6):
        rig.fleet(f"good{number}")
    before = [scaling(f"good-{number}", f"good{number}", expires_in_s=300) for number in range(3)]
    after = [scaling(f"good-{number}", f"good{number}", expires_in_s=300) for number in range(3, 6)]
    rig.send(*before, scaling("bad-1", poison, expires_in_s=300), *after)
    outcomes = rig.ended("bad-1", timeout=120)
    assert {one.status for one in outcomes} == {Status.DEAD}
    assert POISON[poison] in outcomes[0].detail
    wait_for(lambda: rig.depth(PARKED_QUEUE) == 1, 30, "the poison to be parked")
    assert {one.id: one.status for one in rig.ended("good-", 6)} == {f"good-{n}": Status.DONE for n in range(6)}
    assert all(rig.effects(f"good{n}") == [f"good-{n}"] for n in range(6))
    rig.send(scaling("later-1", "good0", generation=9, to=8))
    assert rig.ended("later-1")[0].status is Status.DONE
    assert running.alive, "the worker stays"


def test_poison_that_comes_again_before_its_lease_is_over_is_dead_after_few_deaths(clean, headrace_env, processes):
    """Then it goes on as copies, which the delivery limit does not count; the ledger does."""
    rig = Rig(clean)
    env = headrace_env | {"HEADRACE_LEASE_S": "8", "PYTHONPATH": str(ROOT)}
    running = processes.start(["celery", "-A", "tests.poisoned", "worker", "-l", "info", "-c", "2"], env)
    rig.send(scaling("bad-1", "exit", expires_in_s=600))
    (outcome, *_) = rig.ended("bad-1", timeout=170)
    assert outcome.status is Status.DEAD
    assert f"the {Limit().deaths} workers that had it died" in outcome.detail
    wait_for(lambda: rig.depth(PARKED_QUEUE) == 1, 30, "it to be parked")
    assert running.alive


def test_a_message_of_a_newer_schema_is_dead_lettered_and_its_neighbours_are_done(soon, headrace_env, processes):
    rig = Rig(soon)
    running = processes.start(
        ["celery", "-A", "tasks", "worker", "-l", "info", "-c", "2"], headrace_env | {"HEADRACE_LEASE_S": str(LEASE_S)}
    )
    rig.fleet("web")
    rig.send(
        scaling("old-1", "web", generation=1), scaling("new-1", "web", generation=2, schema=SCHEMA + 1),
        scaling("old-2", "web", generation=3, to=6),
    )  # fmt: skip
    (newer,) = rig.ended("new-1", timeout=60)
    assert (newer.status, newer.service) == (Status.DEAD, "web")
    assert {one.status for one in rig.ended("old-", 2)} <= {Status.DONE, Status.CONFLICT}
    wait_for(lambda: rig.depth(PARKED_QUEUE) == 1, 30, "it to be parked")
    assert "new-1" not in rig.effects("web")
    assert running.alive
