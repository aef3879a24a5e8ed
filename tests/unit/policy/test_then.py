"""What an alert has done when it begins to fire: once each, as decisions of their own, and what stands against it."""

import pytest

from app.policy.files import PolicyError, load
from app.policy.model_then import Step
from tasks.contract import Build, CallWebhook, RollBack, Scale, Status
from tests.unit.policy.builders import Journal, policy, reasons

ALERT = """
apiVersion: headrace/v1
kind: Alert
metadata: {{name: {name}}}
spec:
  service: web
  expr: 'last("{metric}") > 0.0'
  every: 0s
  labels: {{severity: critical}}
  annotations: {{summary: "{{{{ $labels.service }}}} has {{{{ $value }}}}"}}
  then: {then}
  mode: {mode}
"""


def alert(then, name="hot", metric="bad", mode="active"):
    return ALERT.format(name=name, then=then, metric=metric, mode=mode)


def journal(*texts, replicas=4):
    made = Journal()
    made.policies(*texts)
    if replicas is not None:
        made.instances(replicas)
    return made


def fire(made, value=1, **more):
    return made.samples(value, name="bad", after_s=1, **more)


def deeds(decided):
    return [one for one in decided if "deed" in one.evidence]


def scaled(decided):
    return [(one.action.from_replicas, one.action.to_replicas) for one in decided if isinstance(one.action, Scale)]


@pytest.mark.parametrize(
    ("step", "current", "after"),
    [
        ("{by: 2, max: 10}", 4, 6), ("{by: -1, max: 10}", 4, 3), ("{percent: 50, max: 10}", 3, 5),
        ("{percent: 50, least: 3, max: 10}", 3, 6), ("{percent: -50, max: 10}", 5, 3),
        ("{percent: -10, max: 10}", 5, 4), ("{by: 20, max: 10}", 4, 10), ("{by: -20, min: 2, max: 10}", 4, 2),
        ("{percent: -100, min: 0, max: 10}", 4, 0),
    ],
)  # fmt: skip
def test_a_step_is_from_what_there_is_and_within_its_limits(step, current, after):
    made = journal(alert(f"{{scale: {step}}}"), replicas=current)
    decided = fire(made)
    assert reasons(decided) == ["ALERT_FIRING", "ALERT_ACTS"]
    assert scaled(decided) == [(current, after)]
    assert decided[1].evidence["decision"] == decided[0].id
    assert made.state.services["web"].pending.to == after


@pytest.mark.parametrize(
    ("step", "current", "why"),
    [
        ("{by: 2, max: 4}", 4, "AT_MAXIMUM"), ("{by: 2, max: 4}", 6, "AT_MAXIMUM"),
        ("{by: -1, min: 4, max: 9}", 4, "AT_MINIMUM"),
        ("{by: -1, min: 4, max: 9}", 2, "AT_MINIMUM"), ("{by: 2, max: 9}", None, "NO_COUNT"),
    ],
)  # fmt: skip
def test_a_step_never_goes_the_other_way_to_meet_a_limit_nor_from_an_unknown_number(step, current, why):
    made = journal(alert(f"{{scale: {step}}}"), replicas=current)
    decided = fire(made)
    assert reasons(decided) == ["ALERT_FIRING", why]
    assert decided[1].action is None


def test_it_happens_once_for_each_time_that_the_alert_fires():
    made = journal(alert("{scale: {by: 1, max: 10}}"))
    assert scaled(fire(made)) == [(4, 5)]
    made.outcome(made.decisions[-1].action)
    assert [deeds(fire(made)) for _ in range(5)] == [[]] * 5
    for _ in range(400):
        made.tick(behind_s=0)
    assert reasons(fire(made))[0] == "ALERT_FIRING", "it was unknown for a while"
    assert len(deeds(made.decisions)) == 1
    fire(made, 0)
    assert scaled(fire(made)) == [(5, 6)]


def test_a_paused_service_is_not_scaled_and_that_is_not_made_up_for():
    made = journal(alert("{scale: {by: 1, max: 10}, build: {repo: web, branch: main}}"))
    made.command("pause", "web")
    decided = fire(made)
    assert reasons(decided) == ["ALERT_FIRING", "PAUSED", "ALERT_ACTS"]
    assert decided[1].evidence["paused"]["author"] == "ann"
    made.command("resume", "web")
    assert deeds(fire(made)) == []


def test_no_second_scaling_in_one_direction_while_one_is_pending_or_failed_a_moment_ago():
    made = journal(
        alert("{scale: {by: 1, max: 10}}"), alert("{scale: {by: 1, max: 10}}", name="hotter", metric="worse")
    )
    first = fire(made)[1].action
    decided = made.samples(1, name="worse", after_s=1)
    assert reasons(decided) == ["ALERT_FIRING", "SCALE_PENDING"]
    assert decided[1].evidence["pending"] == first.id
    made.samples(0, name="worse", after_s=1)
    made.outcome(first, Status.FAILED)
    assert reasons(made.samples(1, name="worse", after_s=1)) == ["ALERT_FIRING", "BACKING_OFF"]


def test_nothing_goes_both_ways_in_one_moment():
    down = alert("{scale: {by: -1, max: 10}}", metric="cpu").replace("> 0.0", "> 95.0")
    made = journal(policy(service="web", target=60), down)
    made.samples(60, 60, 60, 60, after_s=1)
    assert reasons(made.samples(99, 99, 99, 99, after_s=1)) == ["ABOVE_TARGET", "ALERT_FIRING", "SCALED_ALREADY"]
    both = journal(alert("{scale: {by: 1, max: 10}}", name="a"), alert("{scale: {by: -1, max: 10}}", name="b"))
    decided = fire(both)
    assert scaled(decided) == [(4, 5)]
    assert reasons(decided)[-1] == "SCALED_ALREADY"


def test_fewer_replicas_wait_for_no_deploy_that_is_under_way_but_more_do_not():
    made = journal(alert("{scale: {by: -1, max: 10}}"), alert("{scale: {by: 1, max: 10}}", name="up"))
    made.deploy("started", "2")
    decided = fire(made)
    assert reasons(decided) == ["ALERT_FIRING", "HELD_BY_DEPLOY", "ALERT_FIRING", "ALERT_ACTS"]
    assert decided[1].evidence["deploy"]["version"] == "2"


def test_on_trial_a_deed_is_recorded_and_stands_in_nobodys_way():
    made = journal(alert("{scale: {by: 1, max: 10}, rollBack: {}}", mode="shadow"))
    for version in ("1", "2"):
        made.deploy("started", version)
        made.deploy("finished", version)
    decided = deeds(fire(made))
    assert [(one.reason.value, one.shadow) for one in decided] == [("ALERT_ACTS", True)] * 2
    service = made.state.services["web"]
    assert (service.pending, service.undone, service.generation) == (None, None, 0)


def test_a_silence_keeps_people_from_being_told_and_nothing_else():
    made = journal(alert("{notify: {receiver: team}, scale: {by: 1, max: 10}}"))
    made.command("silence", "web")
    assert reasons(fire(made)) == ["ALERT_FIRING", "ALERT_ACTS", "SILENCED"]


def test_a_rollback_goes_to_the_version_before():
    made = journal(alert("{rollBack: {}}"))
    for version in ("1", "2"):
        made.deploy("started", version)
        made.deploy("finished", version)
    decided = deeds(fire(made))
    assert isinstance(decided[0].action, RollBack)
    assert (decided[0].action.from_version, decided[0].action.to_version, decided[0].action.environment) == (
        "2",
        "1",
        "prod",
    )
    fire(made, 0)
    assert reasons(deeds(fire(made))) == ["ROLLBACK_PENDING"]


def test_there_is_no_rollback_where_the_version_before_is_unknown_or_was_rolled_back_from():
    made = journal(alert("{rollBack: {}}"))
    assert reasons(deeds(fire(made))) == ["NO_ENVIRONMENT"]
    fire(made, 0)
    made.deploy("finished", "1")
    assert reasons(deeds(fire(made))) == ["NO_PREVIOUS_VERSION"]
    fire(made, 0)
    made.deploy("finished", "2")
    made.deploy("rolled_back", "1")
    assert reasons(deeds(fire(made))) == ["NO_PREVIOUS_VERSION"], "2 was rolled back from"


def test_a_rollback_needs_to_know_the_environment_if_there_are_several():
    made = journal(alert("{rollBack: {}}"), alert("{rollBack: {environment: prod}}", name="prod"))
    for environment in ("prod", "test"):
        for version in ("1", "2"):
            made.deploy("finished", version, environment=environment)
    decided = deeds(fire(made))
    assert reasons(decided) == ["NO_ENVIRONMENT", "ALERT_ACTS"]
    assert decided[0].evidence["environments"] == ["prod", "test"]


def test_nobody_rolls_a_paused_service_back():
    made = journal(alert("{rollBack: {}}"))
    for version in ("1", "2"):
        made.deploy("finished", version)
    made.command("pause", "web")
    decided = deeds(fire(made))
    assert reasons(decided) == ["PAUSED"]
    assert decided[0].evidence["paused"]["reason"] == "lunch"


def test_a_build_and_a_webhook_get_what_they_need():
    data = '{room: "{{ $labels.service }}-ops", n: 3}'
    then = f"{{build: {{repo: web, branch: main}}, webhook: {{webhook: runbook, data: {data}}}}}"
    decided = deeds(fire(journal(alert(then)), 7))
    build, call = decided[0].action, decided[1].action
    assert isinstance(build, Build)
    assert (build.repo, build.branch) == ("web", "main")
    assert isinstance(call, CallWebhook)
    assert (call.webhook, call.event) == ("runbook", "alert.firing")
    assert call.data == {
        "alert": "hot", "service": "web", "at_ms": decided[1].at_ms, "value": "7",
        "labels": {"alertname": "hot", "service": "web", "severity": "critical"},
        "annotations": {"summary": "web has 7"}, "room": "web-ops", "n": 3,
    }  # fmt: skip
    assert call.expires_at_ms - call.decided_at_ms == 600_000


@pytest.mark.parametrize(
    ("then", "why"),
    [
        ("{scale: {max: 9}}", "either `by`"), ("{scale: {by: 1, percent: 10, max: 9}}", "either `by`"),
        ("{scale: {by: 0, max: 9}}", "changes nothing"), ("{scale: {by: 1, min: 5, max: 4}}", "is below min"),
        ("{scale: {by: 1}}", "is missing"), ("{scale: {percent: -101, max: 9}}", "has to be at least -100"),
        ("{webhook: {webhook: x, data: {a: '{{ .Value }}'}}}", "a template may hold"),
        ("{rollback: {}}", "did you mean rollBack"),
    ],
)  # fmt: skip
def test_a_mistake_in_what_is_done_is_told(then, why):
    with pytest.raises(PolicyError, match=why):
        load({"a.yaml": alert(then)})


def test_a_step_up_always_goes_up_and_a_step_down_always_down():
    for percent in (-100, -60, -1, 1, 7, 100, 250):
        for current in range(1, 40):
            after = Step(percent=percent, max=1000).after(current)
            assert (after > current) == (percent > 0)
            assert after >= 0
