"""The whole of what is written of a deploy that is watched: evidence, and what people are told."""

import pytest

from app.policy.decision import SENTENCES, Reason
from tasks.contract import Notify, RollBack, Status
from tests.unit.policy.builders import START_MS, policy
from tests.unit.policy.rollouts import ERRORS, World, rollback_in, rollout

HALF = """{sli: half, expr: 'last("errors") / 2.0', pass: ["<=+10%", "<100"], warning: ["<=+50%"], weight: 2}"""
SEEN = """{sli: seen, expr: 'last("errors") + 0.0'}"""
OBJECTIVES = (ERRORS, HALF, SEEN)
BEGAN_MS = START_MS + 330_000
STARTED = {"version": "2", "environment": "prod", "back_to": "1", "began_ms": BEGAN_MS, "finished_ms": -1}
BASELINE = {"baseline_at": "started", "baseline_ms": BEGAN_MS}


def failed(**more):
    """A deploy that fails after two judgements in a row, and what was decided then."""
    world = World(rollout(*OBJECTIVES, total_score="{pass: 80%, warning: 40%}", **more))
    world.deploy("started", "2")
    world.run(60)
    world.deploy("finished", "2")
    return world, world.run(45, errors=14)


def plain(one):
    """The evidence without the record that it was decided by."""
    return {key: value for key, value in one.evidence.items() if key != "fact"}


def of(one):
    return one.service, one.policy, one.reason


def notify(one, decided, body, title, severity, receiver="on-call", reason=None):
    """The notification that belongs to a decision."""
    return Notify(
        id=one.id, service="web", decided_at_ms=one.at_ms, expires_at_ms=one.at_ms + 600_000,
        reason=(reason or one.reason).value, receiver=receiver, title=title, severity=severity,
        body=f"{body}{SENTENCES[reason or one.reason]}. Decision {decided}.",
    )  # fmt: skip


def test_a_verdict_says_what_was_compared_with_what_and_what_each_objective_counted():
    world, (verdict, _) = failed()
    said = {"baseline": 10.0, "value": 14.0, "calls": {"last(errors)": 14.0}}
    first = {
        "sli": "errors", "expr": 'last("errors")', "pass": "<=+10%", "warning": "", "key_sli": True, "weight": 1,
        "result": "fail", "score": 0.0,
    }  # fmt: skip
    half = {
        "sli": "half", "expr": 'last("errors") / 2.0', "pass": "<=+10% and <100", "warning": "<=+50%", "weight": 2,
        "key_sli": False, "baseline": 5.0, "value": 7.0, "result": "warning", "score": 1.0,
    }  # fmt: skip
    seen = {
        "sli": "seen", "expr": 'last("errors") + 0.0', "pass": "", "warning": "", "key_sli": False, "weight": 1,
        "result": "info", "score": 0.0,
    }  # fmt: skip
    assert of(verdict) == ("web", "watch", Reason.ROLLOUT_FAILED)
    assert plain(verdict) == BASELINE | {
        "deploy": STARTED | {"finished_ms": BEGAN_MS + 60_000}, "early": True, "failing": 2,
        "source": world.service.newest, "result": "fail", "score": 33.333,
        "total_score": {"pass": 80.0, "warning": 40.0},
        "objectives": [
            said | first, said | half, said | seen,
        ],
    }  # fmt: skip


def test_a_verdict_is_rolled_back_and_told_with_the_worst_objective_first():
    world, (verdict, told) = failed()
    assert verdict.action == RollBack(
        id=verdict.id, service="web", decided_at_ms=world.journal.at_ms, reason="ROLLOUT_FAILED",
        expires_at_ms=verdict.at_ms + 300_000, environment="prod", from_version="2", to_version="1",
        generation=verdict.at_ms, driver="simulated", target="web",
    )  # fmt: skip
    assert (of(told), plain(told)) == (("web", "watch", Reason.TOLD), {"decision": verdict.id})
    body = (
        "errors is 14, 10 before the deploy: fail (key), it has to be <=+10%. "
        "half is 7, 5 before the deploy: warning, it has to be <=+10% and <100. seen is 14, 10 before the deploy. "
    )
    title = "web: 2 is no good (score 33) in prod, going back to 1"
    assert told.action == notify(told, verdict.id, body, title, "critical", reason=Reason.ROLLOUT_FAILED)


def test_where_it_may_not_be_rolled_back_the_verdict_is_told_with_why():
    world = World()
    world.release_of("2", errors=20, seconds=40)
    world.journal.command("pause")
    verdict, against = world.run(10)
    body = (
        "errors is 20, 10 before the deploy: fail (key), it has to be <=+10%. "
        f"{SENTENCES[Reason.PAUSED]}. "
    )  # fmt: skip
    title = "web: 2 is no good (score 0) in prod, not rolled back"
    assert verdict.action == notify(verdict, verdict.id, body, title, "critical")
    assert of(against) == ("web", "watch", Reason.PAUSED)
    assert plain(against) == {
        "deploy": STARTED | {"finished_ms": BEGAN_MS + 60_000}, "decision": verdict.id,
        "paused": {"author": "ann", "reason": "lunch", "until_ms": 0, "direction": "both"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("status", "reason", "severity", "title"),
    [
        (Status.DONE, Reason.ROLLBACK_DONE, "info", "web: 1 runs again in prod"),
        (Status.SKIPPED, Reason.ROLLBACK_DONE, "info", "web: 1 runs already in prod"),
        (Status.FAILED, Reason.ROLLBACK_FAILED, "critical", "web: the rollback to 1 in prod failed"),
    ],
)
def test_what_became_of_a_rollback_is_said_of_its_policy_and_decision(status, reason, severity, title):
    world, decided = failed()
    action = rollback_in(decided)
    (one,) = world.journal.answer(action, status, detail="as it was.")
    assert of(one) == ("web", "watch", reason)
    assert plain(one) == {
        "decision": action.id, "status": status.value, "detail": "as it was.",
        "deploy": {"version": "2", "environment": "prod", "back_to": "1"},
    }  # fmt: skip
    assert one.action == notify(one, action.id, "as it was. ", title, severity)


def test_what_became_of_a_rollback_is_of_no_policy_if_that_is_not_in_force_any_more():
    world, decided = failed()
    world.journal.policies(rollout(*OBJECTIVES, mode="shadow"))
    (one,) = world.journal.answer(rollback_in(decided))
    assert (of(one), one.shadow) == (("web", "", Reason.ROLLBACK_DONE), False)


def test_a_watch_its_successor_and_its_end_are_said_with_what_was_before():
    world = World()
    (watched,) = [one for one in world.deploy("started", "2") if not one.event]
    assert of(watched) == ("web", "watch", Reason.ROLLOUT_WATCHED)
    assert plain(watched) == BASELINE | {"deploy": STARTED, "baseline": {"errors": 10.0}}
    world.run(60)
    before, after = [one for one in world.deploy("started", "3") if not one.event]
    assert of(before) == ("web", "watch", Reason.ROLLOUT_SUPERSEDED)
    assert plain(before) == BASELINE | {"deploy": STARTED | {"back_to": ""}, "by": "the deploy of 3"}
    newer = {"version": "3", "began_ms": BEGAN_MS + 60_000}
    assert plain(after) == BASELINE | {"deploy": STARTED | newer, "baseline": {"errors": 10.0}}
    (over,) = [one for one in world.deploy("rolled_back", "1") if not one.event]
    assert of(over) == ("web", "watch", Reason.ROLLOUT_ENDED)
    assert (over.evidence["deploy"]["version"], over.evidence["by"]) == ("3", "a rollback to 1")


def test_a_deploy_that_does_not_finish_is_told():
    world = World()
    world.deploy("started", "2")
    assert [one for one in world.run(895) if not one.event] == []
    (stalled,) = world.run(5)
    assert (of(stalled), plain(stalled)) == (("web", "watch", Reason.ROLLOUT_STALLED), BASELINE | {"deploy": STARTED})
    title = "web: 2 has not finished within 900 s in prod"
    assert stalled.action == notify(stalled, stalled.id, "", title, "warning")


@pytest.mark.parametrize(("others", "named"), [((policy(),), ""), ((rollout(environment="stage"),), "watch")])
def test_what_is_judged_no_more_is_said_of_the_policy_that_watched_it(others, named):
    world = World()
    world.release_of("2", errors=20, seconds=40)
    dropped = world.journal.policies(*others)[-1]
    assert of(dropped) == ("web", named, Reason.ROLLOUT_DROPPED)
    assert plain(dropped) == {"deploy": {"version": "2", "environment": "prod"}, "watched_by": "watch"}


def test_what_became_of_a_rollback_that_nobody_wants_to_hear_of_is_written_and_not_told():
    world = World(rollout().replace("notify: on-call", 'notify: ""'))
    action = rollback_in(world.release_of("2", errors=20, seconds=60))
    (one,) = world.journal.answer(action)
    assert (one.reason, one.action) == (Reason.ROLLBACK_DONE, None)
