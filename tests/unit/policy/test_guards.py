"""What the HorizontalPodAutoscaler lacks: a hold by deploys, a cooldown, a fallback. A guard says why it weakens."""

import pytest

from app.policy.files import compiled, document_of
from app.policy.measure import fresh
from tests.unit.policy.builders import Journal, policy, reasons, scales


def with_spec(text, **more):
    """A policy with more in its spec."""
    lines = "".join(f"\n  {name}: {value}" for name, value in more.items())
    return policy(text).rstrip() + lines + "\n"


def journal(wanted=4, **more):
    made = Journal()
    made.policies(with_spec("web", **more))
    made.instances(wanted)
    return made


def test_fewer_replicas_wait_for_the_end_of_a_deploy_and_more_do_not():
    made = journal(wanted=4)
    made.deploy("started", "2")
    decided = made.samples(20, 20, 20, 20)
    assert reasons(decided) == ["HELD_BY_DEPLOY"]
    assert decided[0].evidence["deploy"] == {"version": "2", "environment": "prod"}
    assert scales(made.samples(90, 90, 90, 90, after_s=1)) == [(4, 6)]


@pytest.mark.parametrize("phase", ["finished", "failed", "rolled_back"])
def test_the_end_of_the_deploy_ends_the_hold(phase):
    made = journal(wanted=4)
    made.deploy("started", "2")
    assert scales(made.samples(20, 20, 20, 20)) == []
    made.deploy(phase, "2")
    made.samples(20, 20, 20, 20, after_s=1)
    assert scales(made.decisions) == [(4, 2)]


def test_a_deploy_that_never_ends_holds_no_longer_than_the_limit():
    made = journal(wanted=4, deployHold="30s")
    made.deploy("started", "2")
    assert scales(made.samples(20, 20, 20, 20, after_s=29)) == []
    assert scales(made.samples(20, 20, 20, 20, after_s=2)) == [(4, 2)]


def test_a_deploy_of_another_service_or_a_hold_of_nothing_holds_nobody():
    made = journal(wanted=4)
    made.deploy("started", "2", service="api")
    assert scales(made.samples(20, 20, 20, 20)) == [(4, 2)]
    none = journal(wanted=4, deployHold="0s")
    none.deploy("started", "2")
    assert scales(none.samples(20, 20, 20, 20)) == [(4, 2)]


def test_a_cooldown_is_for_each_direction_and_counts_from_the_last_scaling():
    made = journal(wanted=2, cooldown="{up: 60s}")
    (up,) = made.samples(90, 90)
    made.outcome(up.action)
    held = made.samples(90, 90, 90, after_s=30)
    assert reasons(held) == ["COOLING_DOWN"]
    assert held[0].evidence["scaled_ms_ago"] == 30_000
    (down,) = made.samples(10, 10, 10, after_s=1)
    assert scales([down]) == [(3, 1)]
    made.outcome(down.action)
    assert scales(made.samples(120, after_s=30)) == [(1, 2)]


def fallback(behavior, replicas=6, wanted=4):
    made = Journal()
    missing = f"{{replicas: {replicas}, behavior: {behavior}, after: 60s}}"
    made.policies(with_spec("web", fallback=missing).replace("stale: 5m", "stale: 10s"))
    made.instances(wanted)
    made.samples(60, 60, 60, 60)
    return made


@pytest.mark.parametrize(
    ("behavior", "replicas", "scaled"),
    [
        ("static", 6, [(4, 6)]), ("static", 2, [(4, 2)]), ("static", 4, []), ("currentReplicas", 6, []),
        ("currentReplicasIfHigher", 2, []), ("currentReplicasIfHigher", 6, [(4, 6)]),
        ("currentReplicasIfLower", 6, []), ("currentReplicasIfLower", 2, [(4, 2)]), ("static", 99, [(4, 10)]),
    ],
)  # fmt: skip
def test_when_every_metric_is_missing_for_long_the_fallback_counts(behavior, replicas, scaled):
    made = fallback(behavior, replicas)
    assert reasons(made.tick(after_s=20, behind_s=0)) == ["NO_DATA"]
    assert scales(made.tick(after_s=50, behind_s=0)) == []
    decided = made.tick(after_s=20, behind_s=0)
    assert scales(decided) == scaled
    assert set(reasons(decided)) <= {"FALLBACK"}


def test_a_sample_ends_the_fallback_and_its_time_begins_again():
    made = fallback("static", 8)
    made.tick(after_s=20, behind_s=0)
    made.samples(60, 60, 60, 60, after_s=30)
    made.tick(after_s=20, behind_s=0)
    assert scales(made.tick(after_s=50, behind_s=0)) == []
    assert scales(made.tick(after_s=20, behind_s=0)) == [(4, 8)]


def test_a_document_of_kubernetes_has_none_of_it():
    spec = {"scaleTargetRef": {"name": "web"}, "maxReplicas": 3, "metrics": [
        {"type": "Pods", "pods": {"metric": {"name": "rps"}, "target": {"type": "AverageValue", "averageValue": 1}}}
    ]}  # fmt: skip
    words = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "w"}}
    found = compiled(document_of(words | {"spec": spec})).spec
    assert (found.deployHold_s, found.cooldown.up_s, found.fallback) == (0.0, 0.0, None)


def over(aggregate, seconds="10s"):
    made = Journal()
    text = with_spec("web").replace(
        "- type: Resource\n", f"- type: Resource\n      over: {seconds}\n      aggregate: {aggregate}\n"
    )
    made.policies(text)
    made.instances(2)
    return made


@pytest.mark.parametrize(("aggregate", "value"), [("mean", 75.0), ("max", 120.0), ("min", 20.0), ("sum", 300.0)])
def test_a_metric_may_count_over_a_window(aggregate, value):
    made = over(aggregate, "20s")
    for one in (500, 20, 120, 110, 50):
        made.samples(one, after_s=15 if one == 20 else 2)
    service = made.state.services["web"]
    made.state.now_ms += 7000
    (metric,) = compiled(made.state.policies[0]).spec.metrics
    (found,) = fresh(made.state, service, metric, 300.0)
    assert found.value == value, "the first is out of the window"


def test_a_window_forgets_a_spike_and_the_newest_sample_alone_does_not_decide():
    made = over("mean", "20s")
    for _ in range(20):
        made.samples(60, 60, after_s=1)
    assert scales(made.samples(120, 120, after_s=1)) == [], "one sample of twenty"
    for _ in range(10):
        made.samples(120, 120, after_s=1)
    assert scales(made.decisions)[0] == (2, 3)
