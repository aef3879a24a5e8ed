"""What an action may cost before it is given up: workers that die with it, its time, its tries."""

from dataclasses import replace

import pytest
from redis import ConnectionError as RedisAway

from tasks.action import Done
from tasks.contract import Kind, Status
from tasks.errors import TemporaryError
from tasks.ledger import Answer, Claim
from tasks.limits import DEFAULTS, Limit
from tests.unit.tasks.worlds import GO, NOTIFY, SCALE, World

DEATHS = Limit().deaths


def test_an_action_with_which_many_workers_died_is_dead_and_not_done_again():
    world = World(Claim(Answer.GO, token=9, before="leased", now_ms=2_000, began_ms=1, deaths=DEATHS))
    outcome = world.runner.run(NOTIFY)
    assert outcome.status is Status.DEAD
    assert "act" not in world.seen
    world = World(Claim(Answer.GO, token=9, before="leased", now_ms=2_000, began_ms=1, deaths=DEATHS - 1))
    assert world.runner.run(NOTIFY).status is Status.DONE


def test_poison_whose_effect_is_at_its_target_is_told_as_done():
    poison = Claim(Answer.GO, token=9, before="started", now_ms=2_000, began_ms=1, deaths=DEATHS)
    world = World(poison, asks={Kind.SCALE: lambda action: Done(set=2)})
    assert world.runner.run(SCALE).status is Status.DONE
    assert "act" not in world.seen


def test_an_action_over_its_time_limit_is_dead_and_a_wait_over_it_is_the_callers():
    class TooLong(Exception):  # noqa: N818 - as Celery's is named
        pass

    world = World(GO, acts=[TooLong("20 s")])
    world.runner.too_long = (TooLong,)
    assert world.runner.run(SCALE).status is Status.DEAD
    assert world.seen.count("act") == 1
    world = World(RedisAway(), TooLong())
    world.runner.too_long = (TooLong,)
    with pytest.raises(TooLong):
        world.runner.run(SCALE)
    assert world.written is None


@pytest.mark.parametrize(("token", "redrive", "tries_more"), [(2, 0, True), (3, 0, False), (5, 1, True), (6, 1, False)])
def test_a_kind_with_a_limit_is_tried_so_often_and_sent_again_so_often_once_more(world, token, redrive, tries_more):
    here = world(replace(GO, token=token), acts=[TemporaryError("away")])
    here.runner.limits = DEFAULTS | {Kind.NOTIFY: Limit(tries=3)}
    outcome = here.runner.run(NOTIFY, redrive)
    assert (outcome is None) == tries_more
    if outcome is not None:
        assert (outcome.status, outcome.detail.split(" in ")[0]) == (Status.FAILED, f"given up after {token} tries")


def test_a_kind_may_kill_fewer_workers_than_others(world):
    here = world(replace(GO, deaths=2, before="leased"))
    here.runner.limits = DEFAULTS | {Kind.NOTIFY: Limit(deaths=2)}
    assert here.runner.run(NOTIFY).status is Status.DEAD
    assert "act" not in here.seen
