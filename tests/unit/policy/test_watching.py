"""When a watched deploy is due, what it is compared with, and what is said of its other ends than a verdict."""

import pytest

from app.policy.attempt import watch_key
from app.policy.decision import Reason
from app.policy.deployed import Watch
from app.policy.files import compiled, load
from app.policy.watching import WATCHES, due_ms
from tests.unit.policy.builders import START_MS
from tests.unit.policy.rollouts import World, in_two_environments, rollback_in, rolled, rollout, said, told
from tests.unit.policy.test_rollout_evidence import BASELINE, BEGAN_MS, STARTED, notify, of, plain

FINISHED = {"finished_ms": BEGAN_MS + 60_000}


def words(decided):
    """What was decided, without the events that are published."""
    return [one for one in decided if not one.event]


# when it is due: deadline 15m, settle 30s, every 15s, window 5m


@pytest.mark.parametrize(
    ("watch", "due_s"),
    [
        ({"announced": False}, None), ({}, 900), ({"stalled": True}, None), ({"finished_ms": 100_000}, 130),
        ({"finished_ms": 100_000, "judged_ms": 131_000}, 146), ({"finished_ms": 100_000, "judged_ms": 399_000}, 400),
        ({"finished_ms": 100_000, "judged_ms": 90_000}, 130),
    ],
)  # fmt: skip
def test_a_watch_is_due_at_its_deadline_after_it_settled_at_each_judgement_and_when_its_window_ends(watch, due_s):
    (document,) = load({"watch.yaml": rollout()})
    found = due_ms(Watch("2", 0, "started", 0, **watch), compiled(document).spec)
    assert found == (None if due_s is None else due_s * 1000)


# what it is compared with


@pytest.mark.parametrize(("after_s", "baseline"), [(720, 10.0), (1195, 10.0), (1200, 30.0)])
def test_the_baseline_of_a_deploy_that_was_overtaken_counts_for_as_long_as_one_may_take(after_s, baseline):
    world = World()
    world.deploy("started", "2")
    world.run(after_s, errors=30)
    (watched,) = [one for one in world.deploy("started", "3") if one.reason is Reason.ROLLOUT_WATCHED]
    assert watched.evidence["baseline"] == {"errors": baseline}


@pytest.mark.parametrize(("second", "baseline"), [("2", 10.0), ("3", 30.0)])
def test_the_first_instance_of_a_version_is_the_one_that_the_baseline_is_of(second, baseline):
    world = World()
    world.deploy("pod_started", "2", pod="a")
    world.run(10, errors=30)
    world.deploy("pod_started", second, pod="b")
    world.run(10, errors=40)
    assert words(world.deploy("finished", second))[0].evidence["baseline"] == {"errors": baseline}


def test_an_instance_of_another_version_does_not_end_the_watch_of_a_deploy_that_was_announced():
    world = World()
    world.deploy("started", "2")
    world.deploy("pod_started", "3", pod="a")
    world.deploy("finished", "2")
    assert rolled(world.run(60, errors=20)) == [("2", "1")]


def test_of_too_many_watches_the_one_that_began_first_is_dropped():
    names = [f"policy-{number}" for number in range(WATCHES // 20 + 1)]
    world = World(*(rollout(name=name, environment="*") for name in names), running="")
    for number in range(17):
        world.deploy("started", "1", environment=str(number))
    assert len(world.service.watches) == WATCHES
    world.deploy("started", "2", environment="1")
    kept = list(world.service.watches)
    assert (len(kept), kept[0], kept[-1]) == (WATCHES, watch_key(names[2], "0"), watch_key(names[-1], "1"))


# its other ends


def test_what_is_heard_again_is_said_of_its_policy_and_deploy():
    world = World()
    world.deploy("started", "2")
    deploy = {"deploy": {"version": "2", "environment": "prod"}}
    (again,) = words(world.deploy("started", "2"))
    assert (of(again), plain(again)) == (("web", "watch", Reason.ALREADY_WATCHED), deploy)


def test_a_deploy_that_fails_by_its_own_word_is_told():
    world = World()
    world.deploy("started", "2")
    (failed,) = words(world.deploy("failed", "2"))
    assert (of(failed), plain(failed)) == (("web", "watch", Reason.DEPLOY_FAILED), BASELINE | {"deploy": STARTED})
    assert failed.action == notify(failed, failed.id, "", "web: 2 failed to deploy in prod", "warning")


@pytest.mark.parametrize(
    ("errors", "receiver", "title", "severity"),
    [
        (10, "shop", "is good (score 100)", "info"), (14, "team", "is good in part (score 50)", "warning"),
        (None, "on-call", "cannot be judged", "warning"),
    ],
)  # fmt: skip
def test_each_verdict_is_told_to_whom_it_is_for_and_how_loudly(errors, receiver, title, severity):
    part = """{sli: errors, expr: 'last("errors")', pass: ["<=+10%"], warning: ["<=+50%"]}"""
    world = World(rollout(part, total_score="{pass: 90%, warning: 50%}", onPass="shop"))
    world.deploy("started", "2")
    world.run(60)
    world.deploy("finished", "2")
    verdict = world.run(300, errors=errors, silent=errors is None)[-1].action
    assert (verdict.receiver, verdict.title, verdict.severity) == (receiver, f"web: 2 {title} in prod", severity)


def test_a_watch_that_another_policy_ends_by_a_rollback_says_by_which_decision():
    world = World(rollout(), rollout(name="second", failFast=9))
    decided = world.release_of("2", errors=20, seconds=60)
    action = rollback_in(decided)
    (ended,) = [one for one in decided if one.reason is Reason.ROLLOUT_ENDED]
    assert of(ended) == ("web", "second", Reason.ROLLOUT_ENDED)
    assert plain(ended) == BASELINE | {"deploy": STARTED | FINISHED, "by": f"decision {action.id}"}


def test_on_trial_a_deploy_that_does_not_finish_is_no_less_under_way():
    world = World(rollout(mode="shadow"))
    world.deploy("started", "2")
    decided = world.run(900)
    assert (said(decided), world.release.attempt.stalled) == (["ROLLOUT_STALLED"], False)
    assert world.journal.at_ms == START_MS + 1_230_000


def test_a_rollback_is_for_the_driver_and_under_the_name_that_the_policy_says():
    world = World(rollout().rstrip() + "\n  driver: kubernetes\n  target: shop/web\n")
    action = rollback_in(world.release_of("2", errors=20, seconds=60))
    assert (action.driver, action.target) == ("kubernetes", "shop/web")


def test_a_second_rollback_waits_for_the_first_and_says_for_which():
    world = in_two_environments()
    for environment in ("prod", "stage"):
        world.deploy("finished", "2", environment=environment)
    decided = world.run(60, errors=20)
    (against,) = [one for one in decided if one.reason is Reason.ROLLBACK_PENDING]
    assert against.evidence["pending"] == rollback_in(decided).id
    assert against.evidence["deploy"]["environment"] == "stage"


def test_of_a_deploy_that_names_no_environment_none_is_named_and_a_verdict_for_nobody_tells_nobody():
    world = World(rollout(environment="*"), running="")
    for version, errors in (("1", 10), ("2", 10), ("3", 20)):
        world.deploy("finished", version, environment="")
        decided = words(world.run(330, errors=errors))
        if version == "2":
            (passed,) = decided
            assert (passed.reason, passed.action) == (Reason.ROLLOUT_PASSED, None)
    assert told(world.decisions)[-1] == ("on-call", "web: 3 is no good (score 0), going back to 2")
    (one,) = world.journal.answer(rollback_in(world.decisions))
    assert one.action.title == "web: 2 runs again"
