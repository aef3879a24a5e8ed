"""Instances whose load says nothing yet, and new versions that crash: what a deploy and a warm-up do to a measuring."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.policy.facts import InstanceSeen
from app.policy.warm import nearer
from tests.unit.policy.builders import START_MS, Journal, reasons, scales
from tests.unit.policy.test_guards import with_spec


def seen(number, *, age_s=3600.0, at_s=0.0, **more):
    """Instance `web-<number>`, started so long before a moment after the start."""
    return InstanceSeen(f"web-{number}", started_ms=START_MS + round((at_s - age_s) * 1000), **more)


def journal(each, wanted=4, **more):
    made = Journal()
    made.policies(with_spec("web", **more))
    made.instances(wanted, each=each)
    return made


def four(young=0, **more):
    return [seen(n, age_s=10 if n >= 4 - young else 3600, **more) for n in range(4)]


def test_the_load_of_a_new_instance_is_not_believed_on_the_way_up():
    made = journal(four(young=2), warmup="60s")
    (refused,) = made.samples(60, 60, 300, 300)
    assert refused.reason == "WARMING_UP"
    assert refused.evidence["doubt"] == {"warming": ["web-2", "web-3"]}
    assert (refused.evidence["measured"], refused.evidence["wanted"]) == (12, 4)
    assert scales(made.samples(60, 60, 300, 300, after_s=49)) == []
    assert scales(made.samples(60, 60, 300, 300, after_s=2)) == [(4, 8)], "then they are warm"


def test_a_new_instance_holds_a_scale_down_back_as_one_without_a_sample_does():
    made = journal(four(young=2), warmup="60s")
    assert reasons(made.samples(30, 30, 0, 0)) == ["WARMING_UP"], "2 * 30 and 2 * 100 are above 4 * 60"
    assert scales(made.samples(30, 30, 0, 0, after_s=51)) == [(4, 1)]
    partly = journal(four(young=1), warmup="60s")
    (down,) = partly.samples(10, 10, 10, 0)
    assert (down.reason, scales([down])) == ("BELOW_TARGET", [(4, 3)]), "3 * 10 and 100 want 3 and not 1"
    assert (down.evidence["measured"], down.evidence["wanted"]) == (1, 3)


def test_where_every_instance_is_new_nothing_changes_and_that_is_no_missing_sample():
    made = journal(four(young=4), warmup="60s", fallback="{replicas: 9, after: 1s}")
    assert reasons(made.samples(95, 95, 95, 95)) == ["WARMING_UP"]
    assert made.tick(after_s=10) == []
    assert scales(made.samples(95, 95, 95, 95, after_s=41)) == [(4, 7)]


def test_what_a_hot_start_hides_is_no_reason_to_go_down():
    made = journal(four(young=1), warmup="60s")
    assert scales(made.samples(20, 20, 20, 500)) == [], "believed it is a rush, unbelieved it is calm: neither counts"


def test_an_instance_is_as_old_as_its_deploy_event_where_no_observer_says():
    made = journal(None, warmup="60s")
    made.deploy("pod_started", "1", pod="web-3", after_s=0)
    assert reasons(made.samples(60, 60, 60, 400, after_s=30)) == ["WARMING_UP"]
    assert scales(made.samples(60, 60, 60, 400, after_s=31)) == [(4, 8)]
    nobody = journal(None, warmup="60s")
    assert scales(nobody.samples(60, 60, 60, 400)) == [(4, 8)], "when its series was first seen is no start"


def test_an_instance_may_be_called_by_its_address():
    made = journal(None, warmup="60s")
    made.deploy("pod_started", "1", pod="pod-x", address="web-3", after_s=0)
    assert reasons(made.samples(60, 60, 60, 400)) == ["WARMING_UP"]


def test_a_shared_metric_is_of_no_instance():
    made = Journal()
    queue = "- type: External\n      external: {metric: {name: cpu}, target: {type: AverageValue, averageValue: 10}}"
    text = with_spec("web", warmup="60s").splitlines()
    at = next(n for n, line in enumerate(text) if "type: Resource" in line)
    text[at : at + 2] = [f"    {queue}"]
    made.policies("\n".join(text))
    made.instances(4, each=four(young=4))
    assert scales(made.samples(80, after_s=0)) == [(4, 8)]


def rollout(each, wanted=4, **more):
    made = journal(None, wanted, **more)
    made.deploy("started", "2", after_s=0)
    made.instances(wanted, each=each, after_s=1)
    return made


def old(count=4):
    return [seen(n, version="1") for n in range(count)]


def new(number, age_s=20.0, **more):
    return seen(number, age_s=age_s, version="2", **more)


def test_surplus_of_a_rolling_deploy_is_no_load():
    """Kubernetes #72775, #84142, #98914: a rolling update, hot while it starts, was scaled up."""
    surge = [*old(), new(4), new(5)]
    made = rollout(surge)
    (refused,) = made.samples(62, 62, 62, 62, 250, 250)
    assert refused.reason == "HELD_BY_DEPLOY"
    assert refused.evidence["doubt"] == {"left_out": ["web-4", "web-5"]}
    assert refused.evidence["measured"] == 13, "748 / 60"
    assert scales(made.deploy("finished", "2")) == [(4, 8)], "by the limits, at most"


def test_a_rush_during_a_deploy_is_answered():
    made = rollout([*old(), new(4), new(5)])
    assert scales(made.samples(120, 120, 120, 120, 0, 0)) == [(4, 8)]


def test_surplus_is_the_youngest_whatever_it_runs():
    each = [seen(n, age_s=3600 - n) for n in range(5)]
    made = rollout(each)
    (refused,) = made.samples(60, 60, 60, 60, 400)
    assert refused.evidence["doubt"] == {"left_out": ["web-4"]}


@pytest.mark.parametrize(
    ("one", "left_out"),
    [
        (new(3), True), (new(3, age_s=60), False), (new(3, age_s=60, ready=False), True),
        (new(3, age_s=60, ready=None), False), (seen(3, age_s=20, version="1"), False),
        (InstanceSeen("web-3", version="2"), False), (InstanceSeen("web-3", ready=False, version="2"), True),
    ],
)  # fmt: skip
def test_what_the_deploy_is_starting_does_not_count_until_it_is_ready_and_no_longer_young(one, left_out):
    made = rollout([*old(3), one])
    text = with_spec("web").replace("name: cpu", "name: load")  # of cpu Kubernetes' own rules doubt some as well
    made.policies(text)
    decided = made.samples(60, 60, 60, 400, name="load")
    assert (reasons(decided) == ["HELD_BY_DEPLOY"]) is left_out
    assert (scales(decided) == [(4, 8)]) is not left_out


def test_the_hold_ends_by_itself_and_says_so():
    made = rollout([*old(), new(4, age_s=0)], deployHold="20s")
    decided = made.samples(60, 60, 60, 60, 400, after_s=10)
    assert reasons(decided) == ["HELD_BY_DEPLOY"]
    assert decided[0].evidence["deploy"]["held"] is True
    (up,) = made.samples(60, 60, 60, 60, 400, after_s=10)
    assert scales([up]) == [(4, 8)]
    assert up.evidence["deploy"] == {
        "version": "2", "environment": "prod", "since_ms": START_MS, "until_ms": START_MS + 20_000, "held": False
    }  # fmt: skip


def test_a_policy_without_a_hold_measures_a_deploy_as_kubernetes_does():
    made = rollout([*old(), new(4)], deployHold="0s")
    (up,) = made.samples(60, 60, 60, 60, 400)
    assert scales([up]) == [(4, 8)]
    assert "deploy" not in up.evidence


def failing(**more):
    return new(4, age_s=60, **{"ready": False, "restarts": 3} | more)


@pytest.mark.parametrize(
    ("fresh", "crashes"),
    [
        ([failing()], True), ([failing(phase="Failed", restarts=0)], True), ([failing(restarts=0)], False),
        ([failing(ready=True)], False), ([failing(ready=None)], False), ([failing(), new(5, age_s=60)], False),
        ([failing(), new(5, age_s=60, ready=False)], True), ([failing(), new(5, ready=None)], False),
        ([failing(deleted=True)], False), ([], False),
    ],
)  # fmt: skip
def test_a_version_that_crashes_is_not_scaled_up(fresh, crashes):
    """Kubernetes #87199: a crashing ReplicaSet was scaled to the maximum."""
    made = rollout([*old(), *fresh])
    decided = made.samples(120, 120, 120, 120)
    if not crashes:
        assert scales(decided) == [(4, 8)]
        return
    (refused,) = decided
    assert refused.reason == "CRASHING"
    assert refused.evidence["crashing"] == {"version": "2", "failing": ["web-4"]}
    assert refused.evidence["deploy"]["held"] is True
    assert scales(made.deploy("rolled_back", "1")) == [(4, 8)]


def test_a_crash_forbids_no_longer_than_the_hold():
    made = rollout([*old(), failing()], deployHold="30s")
    assert reasons(made.samples(120, 120, 120, 120, after_s=28)) == ["CRASHING"]
    assert scales(made.samples(120, 120, 120, 120, after_s=2)) == [(4, 8)]


def test_a_crash_is_known_from_deploy_events_alone():
    made = journal(None)
    made.deploy("started", "2", after_s=0)
    made.deploy("pod_started", "2", pod="web-9", after_s=1)
    assert scales(made.samples(60, 60, 60, 60)) == []
    made.deploy("pod_stopped", pod="web-9", after_s=5)
    (refused,) = made.samples(120, 120, 120, 120)
    assert refused.evidence["crashing"] == {"version": "2", "failing": ["web-9"]}
    made.deploy("pod_started", "2", pod="web-9", after_s=5)
    assert made.samples(120, 120, 120, 120, after_s=29) == [], "it was started again, and is crashing still"
    made.samples(120, 120, 120, 120, after_s=1)
    assert scales(made.decisions) == [(4, 8)], "it has run for as long as an instance may take to be ready"


def test_pods_of_the_old_version_stop_in_every_deploy_and_that_is_no_crash():
    for version in ("1", "2"):
        made = journal(None)
        made.deploy("finished", "1", after_s=0)
        made.deploy("pod_started", "1", pod="web-0", after_s=0)
        made.deploy("started", version, after_s=1)
        made.deploy("pod_stopped", pod="web-0", after_s=1)
        assert scales(made.samples(120, 120, 120, 120)) == [(4, 8)], version


def test_a_crash_is_of_this_deploy():
    made = journal(None)
    made.deploy("started", "2", after_s=0)
    made.deploy("pod_started", "2", pod="web-9")
    made.deploy("pod_stopped", pod="web-9")
    made.deploy("failed", "2")
    made.deploy("started", "2", after_s=60)
    assert scales(made.samples(120, 120, 120, 120)) == [(4, 8)]


@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 20))
def test_of_two_wishes_the_nearer_to_no_change_counts(first, second, current):
    found = nearer(first, second, current)
    assert found == nearer(second, first, current)
    assert abs(found - current) <= min(abs(first - current), abs(second - current))
    if (first > current) == (second > current) and (first < current) == (second < current):
        assert found in {first, second}
    else:
        assert found == current
