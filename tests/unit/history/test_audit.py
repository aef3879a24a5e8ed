"""The conservation law: what was decided ended, once, and took effect once."""

import msgspec
import pytest

from app.history.audit import GRACE_MS, Audit
from app.policy.decision import Decision, Reason
from tasks.contract import Kind, Notify, Outcome, Scale, Status

NOW = 1_000_000


def scale(id_, at_ms=10_000, **fields):
    return Scale(
        id=id_, service="web", decided_at_ms=at_ms, expires_at_ms=at_ms + 60_000, from_replicas=1, to_replicas=2,
        generation=1, **fields,
    )  # fmt: skip


def decision(action, at_ms=10_000, **fields):
    return Decision(
        id=action.id, at_ms=at_ms, service="web", policy="p", fingerprint="f", reason=Reason.ABOVE_TARGET, evidence={},
        action=action, **fields,
    )  # fmt: skip


def outcome(id_, status=Status.DONE, **fields):
    return Outcome(id=id_, action=Kind.SCALE, service="web", status=status, found=1, set=2, **fields)


@pytest.fixture
def audit():
    made = Audit(0, NOW, NOW)
    made.decided(decision(scale("a")))
    return made


def test_an_action_that_was_done_and_took_effect_breaks_nothing(audit):
    audit.ended(outcome("a"))
    audit.effect("a")
    audit.remembered("a", "done")
    assert audit.wrong() == []
    assert audit.by_kind() == {(Kind.SCALE, "done"): 1}


def test_one_without_an_outcome_is_missing_once_it_is_late_enough(audit):
    assert audit.missing == ["a"]
    audit.decided(decision(scale("b", at_ms=NOW - GRACE_MS), at_ms=NOW - GRACE_MS))
    assert audit.missing == ["a"]
    assert audit.by_kind()[Kind.SCALE, "under way"] == 1


@pytest.mark.parametrize("status", [Status.FAILED, Status.EXPIRED, Status.CONFLICT, Status.DEAD, Status.SKIPPED])
def test_every_way_to_end_is_an_end(audit, status):
    audit.ended(outcome("a", status))
    assert audit.wrong() == []


def test_two_effects_of_one_action_are_told(audit):
    audit.ended(outcome("a"))
    audit.effect("a")
    audit.effect("a")
    assert audit.wrong() == ["action a took effect 2 times"]


def test_done_without_an_effect_is_told_but_not_where_nothing_was_to_change(audit):
    audit.ended(outcome("a"))
    assert audit.without_effect == ["a"]
    audit.outcomes["a"] = msgspec.structs.replace(outcome("a"), found=2)
    assert audit.without_effect == []


def test_a_repeat_is_counted_and_a_contradiction_told(audit):
    audit.decided(decision(scale("a")))
    audit.ended(outcome("a", Status.FAILED))
    audit.ended(outcome("a", Status.FAILED, repeats=1))
    assert (audit.repeated_decisions, audit.repeated_outcomes, audit.wrong()) == (1, 1, [])
    audit.ended(outcome("a", Status.EXPIRED))
    assert audit.wrong() == ["action a ended as failed and as expired"]


def test_the_highest_redrive_is_final_and_what_was_done_is_not_sent_again(audit):
    audit.ended(outcome("a", Status.DEAD))
    audit.ended(outcome("a", redrive=1))
    audit.ended(outcome("a", Status.DEAD))
    audit.effect("a")
    assert audit.wrong() == []
    assert audit.by_kind() == {(Kind.SCALE, "done"): 1}
    audit.ended(outcome("a", redrive=2))
    assert audit.wrong() == ["action a was done and then sent again"]


def test_the_ledger_has_to_say_the_same(audit):
    audit.ended(outcome("a"))
    audit.effect("a")
    audit.remembered("a", "failed")
    assert audit.wrong() == ["action a is failed in the ledger and done on the topic"]


def test_trials_refusals_and_other_times_do_not_count():
    audit = Audit(5_000, 20_000, NOW)
    audit.decided(decision(scale("shadow"), shadow=True))
    audit.decided(decision(scale("before"), at_ms=4_999))
    audit.decided(decision(scale("after"), at_ms=20_000))
    audit.decided(msgspec.structs.replace(decision(scale("refused")), action=None))
    assert audit.actions == {}


def test_only_a_simulated_fleet_is_asked_for_effects():
    audit = Audit(0, NOW, NOW)
    told = Notify(id="n", service="web", decided_at_ms=1, expires_at_ms=2, receiver="r", title="", body="")
    audit.decided(decision(told))
    audit.decided(decision(scale("k", driver="kubernetes")))
    for one in ("n", "k"):
        audit.ended(outcome(one))
    assert list(audit.simulated()) == []
    assert audit.wrong() == []
