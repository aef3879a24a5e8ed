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
