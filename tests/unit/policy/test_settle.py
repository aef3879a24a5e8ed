"""The wishes for one service put together: the whole of what is done, told and refused."""

import pytest

from app.policy.decision import SENTENCES, Reason
from tasks.contract import Notify, Scale
from tests.unit.policy.builders import Journal, policy, reasons, scales

RPS = "    - {type: Pods, pods: {metric: {name: rps}, target: {type: AverageValue, averageValue: 100}}}\n"


def journal(*texts, wanted=3):
    made = Journal()
    made.policies(*texts)
    made.instances(wanted)
    return made


def told(*texts, wanted=3):
    return journal(*(text.replace('notify: ""', "notify: team") for text in texts), wanted=wanted)


def test_a_scaling_says_why_with_what_and_until_when_it_is_worth_something():
    made = journal(policy("keen").rstrip() + "\n  driver: compose\n  target: shop_web\n")
    (one,) = made.samples(90, 90, 90)
    assert one.action == Scale(
        id=one.id, service="web", decided_at_ms=made.at_ms, expires_at_ms=made.at_ms + 60_000, reason="ABOVE_TARGET",
        from_replicas=3, to_replicas=5, generation=made.at_ms, driver="compose", target="shop_web",
    )  # fmt: skip


def test_what_people_are_told_of_a_scaling_is_of_its_service_policy_reason_and_moment():
    made = told(policy("keen"))
    scaling, one = made.samples(90, 90, 90)
    assert (one.service, one.policy, one.reason) == ("web", "keen", Reason.TOLD)
    assert one.action == Notify(
        id=one.id, service="web", decided_at_ms=made.at_ms, expires_at_ms=made.at_ms + 600_000, reason="ABOVE_TARGET",
        receiver="team", title=one.action.title, body=one.action.body,
    )  # fmt: skip
    for word in ("web goes from 3 to 5 replicas", "Policy keen", SENTENCES[Reason.ABOVE_TARGET], scaling.id):
        assert word in one.action.body


@pytest.mark.parametrize(("cpu", "rps", "cause"), [(90, 120, "cpu 90 is above 60"), (70, 200, "rps 200 is above 100")])
def test_people_are_told_of_the_metric_that_asked_for_the_most(cpu, rps, cause):
    made = told(policy().replace("  metrics:\n", f"  metrics:\n{RPS}").replace("every: 0s", "every: 1s"))
    made.samples(*[cpu] * 3, after_s=0.5)
    decided = made.samples(*[rps] * 3, name="rps", after_s=0.5)
    assert decided[1].action.title.endswith(cause)


def test_people_are_told_for_how_many_seconds_there_was_no_sample():
    fallback = "\n  fallback: {replicas: 6, after: 60s}\n"
    made = told(policy(stale="10s").rstrip() + fallback)
    made.samples(60, 60, 60)
    made.tick(after_s=20, behind_s=0)
    _, one = made.tick(after_s=700, behind_s=0)
    assert one.action.title == "web: 3 → 6 replicas: no sample for 700 s"


def test_who_is_outvoted_is_told_the_highest_wish():
    made = journal(policy("calm", target=300), policy("keen", target=60), wanted=2)
    refused = next(one for one in made.samples(90, 90) if one.policy == "calm")
    assert (refused.reason, refused.evidence["highest"]) == (Reason.OUTVOTED, 3)


def test_of_two_policies_that_want_the_same_one_scales_and_the_other_is_outvoted():
    made = journal(policy("first"), policy("other"), wanted=2)
    decided = made.samples(90, 90)
    assert (reasons(decided), scales(decided)) == (["ABOVE_TARGET", "OUTVOTED"], [(2, 3)])


@pytest.mark.parametrize(("after_s", "said"), [(19.999, []), (20, ["NO_DATA"])])
def test_a_service_that_never_reported_is_without_data_when_its_samples_are_stale_and_not_before(after_s, said):
    made = journal(policy(stale="20s"))
    assert reasons(made.tick(after_s=after_s, behind_s=0)) == said
