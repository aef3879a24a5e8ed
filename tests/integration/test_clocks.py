"""Workers whose clock is wrong, or jumps: expiry and leases go by Redis' time, on real servers."""

import pytest

from tasks.contract import Status, action_key
from tests.odd import wrong
from tests.processes import wait_for
from tests.rig import LEASE_S, odd_worker, scaling, worker

TWO_HOURS_S = 7200
"""More than Kafka lets a message be ahead of its own clock by default."""


@pytest.fixture
def env(headrace_env):
    return headrace_env | {"HEADRACE_LEASE_S": str(LEASE_S)}


@pytest.fixture
def clock(tmp_path):
    return tmp_path / "clock"


def odd(processes, env, clock, seconds):
    """A worker that is ready, with a clock that is so many seconds ahead."""
    wrong(clock, seconds)
    return odd_worker(processes, env, f"clock={clock}")


@pytest.mark.parametrize("seconds", [TWO_HOURS_S, -TWO_HOURS_S])
def test_what_is_good_is_done_and_what_is_expired_is_not_whatever_the_workers_clock_says(
    rig, env, processes, clock, seconds
):
    odd(processes, env, clock, seconds)
    rig.fleet("good")
    rig.fleet("late")
    rig.send(scaling("good-1", "good", expires_in_s=60), scaling("late-1", "late", expires_in_s=-1))
    assert [one.status for one in rig.ended("good-1")] == [Status.DONE]
    assert [one.status for one in rig.ended("late-1")] == [Status.EXPIRED]
    assert (rig.effects("good"), rig.effects("late")) == (["good-1"], [])


@pytest.mark.parametrize("seconds", [TWO_HOURS_S, -TWO_HOURS_S])
def test_a_clock_that_jumps_while_an_action_is_done_costs_it_neither_its_lease_nor_its_outcome(
    rig, env, processes, clock, seconds
):
    odd(processes, env, clock, 0)
    rig.fleet("jump", delay_ms=4 * LEASE_S * 1000)
    rig.send(scaling("jump-1", "jump"))
    wait_for(lambda: rig.redis.hget(action_key("jump-1"), "state") == "started", 20, "the action to be begun")
    worker(processes, env, "right")
    wrong(clock, seconds)
    rig.send(scaling("jump-1", "jump"))  # a copy, for the other to take if it may
    outcomes = rig.ended("jump-1", 2)
    assert {(one.status, one.attempts) for one in outcomes} == {(Status.DONE, 1)}
    assert rig.effects("jump") == ["jump-1"]
