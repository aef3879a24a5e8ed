"""What the HorizontalPodAutoscaler lacks: holds, cooldowns, pauses, flapping, a fallback. A guard says why."""

import pytest

from app.policy.files import compiled, document_of
from app.policy.readings import fresh
from app.policy.state import TURNS
from tests.unit.policy.builders import START_MS, Journal, policy, reasons, scales


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
    assert decided[0].evidence["deploy"] == {
        "version": "2", "environment": "prod", "since_ms": START_MS + 1000, "until_ms": START_MS + 601_000, "held": True
    }  # fmt: skip
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


@pytest.mark.parametrize(("after_s", "scaled", "missing"), [(59.999, [], []), (60, [(4, 8)], [60_000])])
def test_the_fallback_counts_when_its_time_is_over_and_not_a_millisecond_before(after_s, scaled, missing):
    made = fallback("static", 8)
    made.tick(after_s=20, behind_s=0)
    decided = made.tick(after_s=after_s, behind_s=0)
    assert scales(decided) == scaled
    assert [one.evidence["missing_ms"] for one in decided] == missing


def test_a_sample_ends_the_fallback_and_its_time_begins_again():
    made = fallback("static", 8)
    made.tick(after_s=20, behind_s=0)
    made.samples(60, 60, 60, 60, after_s=30)
    made.tick(after_s=20, behind_s=0)
    assert scales(made.tick(after_s=50, behind_s=0)) == []
    assert scales(made.tick(after_s=20, behind_s=0)) == [(4, 8)]


def test_a_fallback_that_has_begun_stays_for_as_long_as_the_metrics_are_missing():
    """KEDA #5666: the replicas went up and down between 1 and the fallback for as long as it lasted."""
    made = fallback("static", 6)
    for _ in range(360):
        for one in made.tick(after_s=10, behind_s=0):
            if scales([one]):
                made.outcome(one.action)
    assert scales(made.decisions) == [(4, 6)]
    assert made.state.services["web"].memories["web"].reason.startswith("FALLBACK")


def test_a_fallback_is_for_when_every_metric_is_missing():
    """KEDA #6659: one trigger failed, and the fallback overrode what the others asked for."""
    made = Journal()
    rps = "{type: Pods, pods: {metric: {name: rps}, target: {type: AverageValue, averageValue: 100}}}"
    text = with_spec("web", fallback="{replicas: 9, after: 60s}").replace("stale: 5m", "stale: 10s")
    made.policies(text.replace("  metrics:\n", f"  metrics:\n    - {rps}\n"))
    made.instances(4)
    for _ in range(30):
        made.samples(60, 60, 60, 60, after_s=5)
        made.tick(after_s=0, behind_s=0)
    assert scales(made.decisions) == []
    assert scales(made.samples(90, 90, 90, 90, after_s=1)) == [(4, 6)], "one that can be asked may go up"


def test_a_pause_in_one_direction_refuses_that_one_alone():
    made = journal(wanted=4)
    made.command("pause", direction="down")
    (refused,) = made.samples(20, 20, 20, 20)
    assert refused.reason == "PAUSED"
    assert refused.evidence["paused"] == {"author": "ann", "reason": "lunch", "until_ms": 0, "direction": "down"}
    assert scales(made.samples(90, 90, 90, 90, after_s=1)) == [(4, 6)]
    other = journal(wanted=4)
    other.command("pause", service="*", direction="up")
    assert reasons(other.samples(90, 90, 90, 90)) == ["PAUSED"]
    assert scales(other.samples(20, 20, 20, 20, after_s=1)) == [(4, 2)]


def test_pauses_of_both_directions_stand_beside_each_other_and_one_resume_ends_them():
    made = journal(wanted=4)
    made.command("pause", direction="down", until_ms=made.at_ms + 60_000)
    made.command("pause", direction="up")
    assert reasons(made.samples(20, 20, 20, 20)) == ["PAUSED"]
    assert made.samples(90, 90, 90, 90, after_s=1) == [], "the same reason as before"
    made.command("resume")
    assert made.state.pauses == {}
    assert scales(made.decisions) == [(4, 6)]
    ended = journal(wanted=4)
    ended.command("pause", direction="down", until_ms=ended.at_ms + 60_000)
    assert scales(ended.samples(20, 20, 20, 20, after_s=59)) == []
    assert scales(ended.samples(20, 20, 20, 20, after_s=1)) == [(4, 2)]


def paced(wanted, **more):
    """Looked at no more than once a second, so that an outcome alone changes nothing."""
    made = Journal()
    made.policies(with_spec("web", **more).replace("every: 0s", "every: 1s"))
    made.instances(wanted)
    return made


def flaps(made, count, after_s=60):
    """Scale up and down in turn, each done at once; what was decided last."""
    decided = []
    for number in range(count):
        replicas = made.state.services["web"].observed.replicas
        decided = made.samples(*[20 if number % 2 else 120] * replicas, after_s=after_s)
        for one in decided:
            if scales([one]):
                made.outcome(one.action)
    return decided


def test_scale_downs_wait_where_the_direction_turned_too_often_and_scale_ups_do_not():
    made = paced(wanted=2, flapping="{changes: 3, within: 10m}")
    flaps(made, 4)
    assert scales(made.decisions) == [(2, 4), (4, 2), (2, 4), (4, 2)], "three turns"
    (up,) = flaps(made, 1)
    assert scales([up]) == [(2, 4)], "the fourth turn, upwards"
    turns = [START_MS + 1000 * seconds for seconds in (120, 180, 240, 300)]
    (refused,) = made.samples(20, 20, 20, 20, after_s=60)
    assert refused.reason == "FLAPPING"
    assert refused.evidence["flapping"] == {"turns_ms": turns, "until_ms": turns[1] + 600_000}
    assert scales(made.samples(90, 90, 90, 90, after_s=1)) == [(4, 6)], "up goes on, and turns nothing"
    made.outcome(made.decisions[-1].action)
    assert scales(made.samples(*[20] * 6, after_s=418)) == []
    assert scales(made.samples(*[20] * 6, after_s=1)) == [(6, 2)], "the second of the turns is too old"


@pytest.mark.parametrize("over_ms", [0, 300])
def test_only_turns_that_still_count_are_evidence_of_flapping(over_ms):
    made = paced(wanted=2, flapping="{changes: 3, within: 10m}")
    flaps(made, 4)
    flaps(made, 1)
    first, *turns = made.state.services["web"].turns
    (refused,) = made.samples(20, 20, 20, 20, after_s=420 + over_ms / 1000)
    assert made.at_ms - first == 600_000 + over_ms
    assert refused.evidence["flapping"]["turns_ms"] == turns


def test_turns_are_those_of_the_service_whoever_scaled_it_and_their_memory_is_bounded():
    made = paced(wanted=2)
    flaps(made, 60)
    service = made.state.services["web"]
    assert len(service.turns) == TURNS
    assert service.turns[-1] == made.at_ms
    made.policies(with_spec("web", flapping="{changes: 20, within: 1h}"))
    made.samples(60, 60, after_s=60)
    flaps(made, 1)
    assert reasons(flaps(made, 2))[-1] == "FLAPPING"


def test_a_policy_on_trial_turns_nothing():
    made = Journal()
    made.policies(with_spec("web").replace("mode: active", "mode: shadow"))
    made.instances(4)
    made.samples(20, 20, 20, 20)
    made.samples(90, 90, 90, 90, after_s=1)
    assert scales(made.decisions) == [(4, 2), (4, 6)]
    assert made.state.services["web"].turns == []


@pytest.mark.parametrize(("value", "up"), [(90, True), (20, False)])
def test_a_cooldown_a_hold_and_a_trial_are_there_in_each_direction(value, up):
    way = "up" if up else "down"
    cooling = paced(wanted=4, cooldown=f"{{{way}: 60s}}")
    (first,) = cooling.samples(*[value] * 4, after_s=1)
    cooling.outcome(first.action)
    replicas = first.action.to_replicas
    assert reasons(cooling.samples(*[value] * replicas, after_s=59)) == ["COOLING_DOWN"]
    assert len(scales(cooling.samples(*[value] * replicas, after_s=1))) == 1
    held = Journal()
    held.policies(policy(**{f"{way}_for": "10s"}))
    held.instances(4)
    assert reasons(held.samples(*[value] * 4)) == ["HELD"]
    assert len(scales(held.samples(*[value] * 4, after_s=10))) == 1
    trial = Journal()
    trial.policies(policy(mode="shadow"))
    trial.instances(4)
    (one,) = trial.samples(*[value] * 4)
    assert (one.shadow, (one.action.to_replicas > 4) is up) == (True, True)
    assert trial.state.services["web"].pending is None


def test_a_document_of_kubernetes_has_none_of_it():
    spec = {"scaleTargetRef": {"name": "web"}, "maxReplicas": 3, "metrics": [
        {"type": "Pods", "pods": {"metric": {"name": "rps"}, "target": {"type": "AverageValue", "averageValue": 1}}}
    ]}  # fmt: skip
    words = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "w"}}
    found = compiled(document_of(words | {"spec": spec})).spec
    assert (found.deployHold_s, found.cooldown.up_s, found.warmup_s) == (0.0, 0.0, 0.0)
    assert (found.fallback, found.flapping, found.schedules) == (None, None, ())


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
    (found,) = fresh(made.state, service, metric.reading, 300.0)
    assert found.value == value, "the first is out of the window"


def test_a_window_forgets_a_spike_and_the_newest_sample_alone_does_not_decide():
    made = over("mean", "20s")
    for _ in range(20):
        made.samples(60, 60, after_s=1)
    assert scales(made.samples(120, 120, after_s=1)) == [], "one sample of twenty"
    for _ in range(10):
        made.samples(120, 120, after_s=1)
    assert scales(made.decisions)[0] == (2, 3)
