"""What no other test saw when the rules were changed by one character (`make mutants`; see docs/tests.md)."""

from app.policy.replicas import Answer, Asked, Grace, Instance, Sample, Tolerance, per_utilization
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
