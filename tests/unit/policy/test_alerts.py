"""Alerts: their expressions, their windows, their states; and that unknown is neither true nor false."""

import pytest

from app.policy.state import pack, unpack
from tasks.contract import Notify
from tests.unit.policy.builders import Journal, policy, reasons

ALERT = """
apiVersion: headrace/v1
kind: Alert
metadata: {{name: hot}}
spec:
  service: "web*"
  expr: '{expr}'
  for: {for_}
  keep_firing_for: {keep}
  every: 0s
  stale: 30s
  labels: {{severity: critical, team: shop}}
  annotations:
    summary: "{{{{ $labels.service }}}} is at {{{{ $value }}}}"
    description: "ask {{{{ $labels.team }}}}"
  then: {{notify: {{receiver: team, repeat_interval: {repeat}, send_resolved: {resolved}}}}}
  mode: {mode}
"""


def alert(expr='avg("cpu", "10s") > 90.0', for_="5s", keep="0s", repeat="1h", resolved="true", mode="active"):
    return ALERT.format(expr=expr, for_=for_, keep=keep, repeat=repeat, resolved=resolved, mode=mode)


def journal(**more):
    made = Journal()
    made.policies(alert(**more))
    return made


def run(made, *values, after_s=1):
    """A sample a second, and what was decided."""
    return [one for value in values for one in made.samples(value, after_s=after_s)]


def states(decided):
    """Reasons that are of the alert itself, and not of who is told of it."""
    return [one for one in reasons(decided) if one.startswith("ALERT_")]


def told(decided):
    return [one.action.title for one in decided if isinstance(one.action, Notify)]


# states


def test_it_is_pending_then_firing_then_over_and_people_are_told_of_the_last_two():
    made = journal()
    assert reasons(run(made, *[50] * 10)) == []
    rising = run(made, *[100] * 20)
    assert reasons(rising) == ["ALERT_PENDING", "ALERT_FIRING", "TOLD"]
    assert [one.action is None for one in rising] == [True, True, False]
    assert told(rising) == ["firing: web: web is at 100"]
    assert rising[2].action.severity == "critical"
    assert "ask shop" in rising[2].action.body
    assert rising[2].evidence["decision"] == rising[1].id
    falling = run(made, *[10] * 10)
    assert reasons(falling) == ["ALERT_RESOLVED", "TOLD"]
    assert told(falling)[0].startswith("resolved: web: ")
    assert falling[1].action.severity == "info"
    assert reasons(run(made, *[10] * 10)) == []


def test_what_does_not_last_never_fires():
    made = journal(for_="5s")
    decided = run(made, 100, 100, 100, *[10] * 10)
    assert reasons(decided) == ["ALERT_PENDING", "ALERT_RESOLVED"]
    assert told(decided) == [], "nobody was told of its beginning"


def test_it_goes_on_firing_for_as_long_as_it_is_to():
    made = journal(for_="0s", keep="20s")
    run(made, *[100] * 5)
    assert reasons(run(made, *[0] * 15)) == []
    assert reasons(run(made, *[0] * 15)) == ["ALERT_RESOLVED", "TOLD"]


@pytest.mark.parametrize(("after_s", "said"), [(499.999, []), (500, ["ALERT_RESOLVED"])])
def test_it_goes_on_firing_until_its_time_is_over_and_not_a_millisecond_longer(after_s, said):
    made = journal(for_="0s", keep="500s")
    run(made, 100)
    assert states(run(made, 0, after_s=after_s)) == said


@pytest.mark.parametrize(("after_s", "said"), [(29.999, []), (30, ["ALERT_UNKNOWN"])])
def test_that_it_is_unknown_is_said_when_samples_would_be_stale_and_not_a_millisecond_before(after_s, said):
    made = journal(expr='last("gone") > 1.0 && last("cpu") > 0.0')
    run(made, 50)
    assert states(run(made, 50, after_s=after_s)) == said


def test_people_are_told_again_while_it_fires_and_of_the_end_only_if_they_want():
    made = journal(for_="0s", repeat="10s", resolved="false")
    assert len(told(run(made, *[100] * 25))) == 3
    over = run(made, *[0] * 20)
    assert (reasons(over), told(over)) == (["ALERT_RESOLVED"], [])


def test_unknown_neither_fires_nor_resolves_and_is_said_once():
    made = journal(for_="0s")
    run(made, *[100] * 3)
    silent = [one for _ in range(10) for one in made.tick(after_s=10, behind_s=0)]
    assert reasons(silent) == ["ALERT_UNKNOWN"]
    assert silent[0].evidence["values"] == {"avg(cpu, 10s)": None}
    back = run(made, *[100] * 3)
    assert reasons(back) == ["ALERT_FIRING"], "they know already"
    assert reasons(run(made, *[0] * 20)) == ["ALERT_RESOLVED", "TOLD"]


def test_unknown_is_not_said_before_anything_was_known_for_a_while_and_its_end_is_no_resolution():
    made = journal(expr='avg("gone", "10s") > 1.0 || last("cpu") > 90.0')
    assert reasons(run(made, *[50] * 25)) == []
    assert reasons(run(made, *[50] * 10)) == ["ALERT_UNKNOWN"]
    assert reasons(made.samples(0, name="gone", after_s=1)) == ["ALERT_INACTIVE"]
    assert reasons(run(made, 50, 50)) == [], "and nothing follows"


def test_an_alert_on_trial_is_recorded_as_such():
    made = journal(for_="0s", mode="shadow")
    decided = run(made, 100)
    assert [one.shadow for one in decided] == [True, True]
    assert journal(mode="off").samples(100, after_s=1) == []


def test_it_stands_beside_a_scaling_of_the_same_service():
    made = Journal()
    made.policies(alert(for_="0s"), policy(service="web"))
    made.instances(2)
    assert set(reasons(made.samples(95, 95))) == {"ABOVE_TARGET", "ALERT_FIRING", "TOLD"}


def test_its_state_survives_being_packed():
    made = journal(for_="5s")
    run(made, *[100] * 3)
    made.state = unpack(pack(made.state))
    assert reasons(run(made, *[100] * 5)) == ["ALERT_FIRING", "TOLD"]


# silences


def test_a_silenced_alert_is_recorded_and_nobody_is_told_until_the_silence_ends():
    made = journal(for_="0s")
    made.command("silence", "web", until_ms=made.at_ms + 10_000, alert="hot")
    fired = run(made, *[100] * 8)
    assert (reasons(fired), told(fired)) == (["ALERT_FIRING", "SILENCED"], [])
    assert fired[1].evidence["silenced"] == {"author": "ann", "reason": "lunch", "until_ms": made.at_ms + 2_000}
    later = run(made, *[100] * 5)
    assert reasons(later) == ["TOLD"], "it still fires, and now people are told"
    assert len(told(later)) == 1


def test_a_silence_can_be_ended_and_what_was_over_before_is_never_told():
    made = journal(for_="0s")
    made.command("silence", "web", alert="h*")
    run(made, *[100] * 3, *[0] * 15)
    made.command("unsilence", "web", alert="h*")
    assert told(made.decisions) == []
    assert len(told(run(made, *[100] * 15))) == 1


@pytest.mark.parametrize(
    ("service", "alert_", "holds"),
    [("*", "*", True), ("we*", "hot", True), ("api", "*", False), ("web", "cold", False)],
)
def test_a_silence_is_for_the_services_and_alerts_it_names(service, alert_, holds):
    made = journal(for_="0s")
    made.command("silence", service, alert=alert_)
    assert (told(run(made, 100)) == []) == holds
