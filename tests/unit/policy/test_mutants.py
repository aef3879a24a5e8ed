"""What no other test saw when the rules were changed by one character (`make mutants`; see docs/tests.md)."""

import pytest

from app.policy.replicas import (
    Answer,
    Asked,
    Grace,
    Instance,
    NoMetricError,
    Sample,
    Tolerance,
    per_utilization,
    per_value,
)
from tests.unit.policy.groups import Watched, alert, alerting, not_told, told
from tests.unit.policy.test_alerts import journal, reasons, run


def test_the_word_of_an_alert_is_of_its_service_with_its_expression_values_labels_and_sample():
    made = journal(for_="0s")
    [fired, _] = run(made, 95)
    assert (fired.service, fired.policy, fired.reason.value) == ("web", "hot", "ALERT_FIRING")
    assert fired.evidence == {
        "expr": 'avg("cpu", "10s") > 90.0',
        "values": {"avg(cpu, 10s)": 95.0},
        "labels": {"alertname": "hot", "service": "web", "severity": "critical", "team": "shop"},
        "source": "metrics/0/0",
        "fact": "0/2",
    }


def test_an_alert_fires_when_its_time_is_over_and_not_a_millisecond_before():
    made = journal(for_="500s")
    run(made, 95)
    made.samples(95, after_s=250)
    assert "ALERT_FIRING" not in reasons(made.samples(95, after_s=249.999))
    assert "ALERT_FIRING" in reasons(made.samples(95, after_s=0.001))


def test_an_alert_that_was_heard_and_falls_silent_is_unknown_when_its_samples_are_stale():
    made = journal(for_="0s")
    run(made, 10, 10)
    assert reasons(made.tick(after_s=20, behind_s=0)) == ["ALERT_UNKNOWN"], "its window is empty, and it was heard"


def test_an_instance_without_a_sample_counts_as_using_all_of_its_request_and_no_more():
    instances = [Instance(f"i{n}", requests={"mem": 1000}) for n in range(5)]
    asked = Asked(6, instances, Tolerance(0.0, 0.0), Grace(), 0)
    assert per_utilization(asked, {"i0": Sample(999)}, "mem", 100) == Answer(5, 0.99)


def asked(*instances, current=2, now_ms=0):
    return Asked(current, instances, Tolerance(0.0, 0.0), Grace(), now_ms)


def test_an_instance_without_a_sample_counts_as_using_nothing_at_all_where_more_are_asked_for():
    found = per_value(asked(Instance("a"), Instance("b")), {"a": Sample(3)}, "", 1)
    assert found == Answer(2, 3.0), "half of 3 thousandths is 1, as it should be"


def test_instances_that_request_nothing_have_no_utilization():
    with pytest.raises(NoMetricError, match="no sample"):
        per_utilization(
            asked(Instance("a", started_ms=0, requests={"cpu": 0}), now_ms=1_000_000), {"a": Sample(3)}, "cpu", 100
        )


def test_a_value_below_nothing_stays_below_it():
    assert per_value(asked(Instance("a")), {"a": Sample(-3000)}, "", 1000) == Answer(-3, -3.0)


@pytest.mark.parametrize(("since_ms", "replicas"), [(129_999, 3), (130_000, 6)])
def test_an_instance_that_is_not_ready_was_so_before_if_that_fell_half_a_minute_after_its_start(since_ms, replicas):
    fallen, ready = (Instance(name, started_ms=100_000, ready=name == "b", since_ms=since_ms) for name in "ab")
    samples = {"a": Sample(3000), "b": Sample(3000)}
    assert per_value(asked(fallen, ready, now_ms=1_000_000), samples, "cpu", 1000).replicas == replicas


def test_a_notification_of_alerts_says_to_whom_of_what_why_and_from_which_decision():
    made = Watched(alert("a", severity="critical"), alerting())
    [fired] = made.set(a=1)
    [one] = made.wait(30)
    assert (one.service, one.policy, one.action.id) == ("web", "tell", one.id)
    assert {key: value for key, value in one.evidence.items() if key != "fact"} == {
        "why": "new", "receiver": "team", "route": "/", "decision": fired.id, "source": "metrics/0/0",
        "firing": [{"alert": "a", "since_ms": fired.at_ms, "values": {"last(a)": 1.0}}],
    }  # fmt: skip


@pytest.mark.parametrize(("service", "said"), [("web", [("b", "INHIBITED", "firing")]), ("api", [])])
@pytest.mark.parametrize("matchers", ["source_matchers: [severity=critical", "target_matchers: [severity=warning"])
def test_an_alert_may_be_inhibited_by_its_service_and_that_of_the_other(matchers, service, said):
    text = alerting().replace(matchers, f"{matchers}, service={service}")
    made = Watched(alert("a", severity="critical"), alert("b", severity="warning"), text)
    made.set(a=1, b=1)
    assert not_told(made.wait(30)) == said


def test_of_several_alerts_that_are_not_told_each_says_so_when_it_begins():
    made = Watched(alert("a"), alert("b"), alert("c"), alerting())
    for name in "bc":
        made.command("silence", "web", alert=name)
    made.set(a=1, b=1)
    assert not_told(made.wait(30)) == [("b", "SILENCED", "firing")]
    made.set(c=1)
    assert not_told(made.wait(300)) == [("c", "SILENCED", "firing")]


def test_why_an_alert_is_not_told_is_said_again_after_it_was_told_in_between():
    made = Watched(alert("a"), alerting())
    made.set(a=1)
    decided = made.wait(60)
    for _ in range(2):
        made.command("silence", "web", alert="a")
        decided += made.wait(3900, every=30)
        made.command("unsilence", "web", alert="a")
        decided += made.wait(600, every=30)
    assert not_told(decided) == [("a", "SILENCED", "repeated")] * 2
    assert len(told(decided)) == 3


def test_an_alert_that_is_not_told_says_who_would_hear_of_it_and_which_decision_it_is():
    made = Watched(alert("a"), alerting())
    made.command("silence", "web", alert="a")
    [fired] = made.set(a=1)
    [one] = made.wait(30)
    silenced = {"author": "ann", "reason": "lunch", "until_ms": 0}
    assert (one.service, one.policy) == ("web", "a")
    assert {key: value for key, value in one.evidence.items() if key != "fact"} == {
        "untold": "firing", "receiver": "team", "route": "/", "silenced": silenced, "decision": fired.id
    }  # fmt: skip


def test_where_no_route_leads_there_is_none_in_what_is_said():
    made = Watched(alert("a", then="{notify: {receiver: team}}"))
    [_, one] = made.set(a=1)
    assert (one.evidence["why"], "route" in one.evidence) == ("new", False)
    [_, over] = made.set(a=0)
    assert over.evidence["why"] == "resolved"


def test_an_alert_that_begins_again_says_again_why_it_is_not_told():
    made = Watched(alert("a"), alert("b"), alerting())
    made.command("silence", "web", alert="a")
    made.set(a=1, b=1)
    decided = made.wait(60)
    made.set(a=0)
    decided += made.wait(600, every=30)
    made.set(a=1)
    decided += made.wait(600, every=30)
    assert not_told(decided) == [("a", "SILENCED", "firing")] * 2


def test_one_that_was_told_before_it_was_silenced_does_not_keep_another_from_saying_why_it_is_not():
    made = Watched(alert("a"), alert("b"), alerting())
    made.set(a=1)
    assert len(told(made.wait(60))) == 1
    made.command("silence", "web", alert="*")
    made.set(b=1)
    assert not_told(made.wait(300)) == [("b", "SILENCED", "firing")]
