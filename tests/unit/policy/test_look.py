"""The whole of what a look says: each stage of the wish, and the first that turned it into no change."""

from tests.unit.policy.builders import Journal, policy, reasons, scales
from tests.unit.policy.test_doubt import four
from tests.unit.policy.test_doubt import journal as with_instances
from tests.unit.policy.test_kinds_of_metric import external, feed, journal, scale


def evidence(one):
    """What it says, without the record that it was decided by."""
    return {key: value for key, value in one.evidence.items() if key != "fact"}


def made_for(wanted, **more):
    made = Journal()
    made.policies(policy(**more))
    made.instances(wanted)
    return made


def metric(value, wanted, instances=2):
    return {
        "name": "cpu", "value": value, "target": 60.0, "ratio": value / 60, "instances": instances, "wanted": wanted
    }  # fmt: skip


def test_a_scaling_says_what_was_wanted_held_stabilized_and_limited():
    made = made_for(2, most=3)
    (one,) = made.samples(120, 120)
    assert evidence(one) == {
        "current": 2, "source": "metrics/0/1", "sample_at_ms": made.at_ms, "metrics": [metric(120.0, 4)],
        "wanted": 4, "held": 4, "stabilized": 4, "limited": 3,
        "conditions": {
            "AbleToScale": "SucceededRescale", "ScalingActive": "ValidMetricFound",
            "ScalingLimited": "TooManyReplicas", "ScaledToZero": "NotScaledToZero",
        },
    }  # fmt: skip


def test_a_wish_that_is_held_back_says_by_which_stage():
    held = made_for(2, up_for="5s")
    (one,) = held.samples(120, 120)
    stages = ("wanted", "held", "stabilized", "limited")
    assert (one.reason, [one.evidence[stage] for stage in stages]) == ("HELD", [4, 2, 2, 2])
    windowed = made_for(2, down_window=60)
    (one,) = windowed.samples(10, 10)
    assert (one.reason, [one.evidence[stage] for stage in stages]) == ("STABILIZED", [1, 1, 2, 2])


def test_a_look_without_samples_says_that_there_is_no_newest():
    made = made_for(2, stale="10s")
    (one,) = made.tick(after_s=60, behind_s=0)
    assert evidence(one) == {
        "current": 2, "source": "", "sample_at_ms": 0, "metrics": [], "failed": ["cpu: there is no fresh sample"],
        "conditions": {"AbleToScale": "SucceededGetScale", "ScalingActive": "FailedGetResourceMetric"},
    }  # fmt: skip


def test_what_is_brought_within_the_limits_says_so_and_of_no_metric():
    one = made_for(12, most=10).decisions[-1]
    assert (one.reason, one.evidence["current"], one.evidence["limited"]) == ("ABOVE_MAXIMUM", 12, 10)
    assert "metrics" not in one.evidence


def test_a_service_may_grow_while_it_is_not_known_whether_it_is_active():
    jobs, lag = external("{type: AverageValue, averageValue: 10}"), external(name="lag", activation=5)
    made = journal(scale(jobs, lag, least=0), wanted=1)
    (up,) = feed(made, [30])
    assert (scales([up]), up.evidence["active"]) == ([(1, 3)], None)
    (idle,) = feed(made, [5], name="lag")
    assert (idle.reason, idle.evidence["active"]) == ("INACTIVE", False)


def test_who_warms_up_is_no_reason_where_the_wish_would_be_the_same_or_something_else_holds_it():
    calm = with_instances(four(young=1), warmup="60s")
    assert calm.samples(60, 60, 60, 60) == []
    held = Journal()
    held.policies(policy(up_for="30s").rstrip() + "\n  warmup: 60s\n")
    held.instances(4, each=four(young=1))
    (one,) = held.samples(120, 120, 120, 120)
    assert (one.reason, one.evidence["wanted"], one.evidence["measured"]) == ("HELD", 6, 8)
    assert reasons(held.samples(60, 60, 60, 400, after_s=1)) == ["WARMING_UP"]
