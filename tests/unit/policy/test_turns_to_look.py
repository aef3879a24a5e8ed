"""When a policy is asked: by facts, by time alone, and not at all."""

import pytest

from tests.unit.policy.builders import Journal, policy, reasons, scales
from tests.unit.policy.test_alerts import alert


def journal(text, wanted=2):
    made = Journal()
    made.policies(text)
    made.instances(wanted)
    return made


def looked_at(made, service="web"):
    return made.state.services[service].memories["web"].looked_at_ms


def test_a_fact_about_one_service_has_no_other_looked_at_but_once_a_second():
    made = Journal()
    made.policies(policy("all", service="*", every="0s"))
    for name in ("busy", "idle"):
        made.instances(1, service=name)
    looked = {name: set() for name in ("busy", "idle")}
    for _ in range(100):
        made.samples(50, service="busy", after_s=0.05)
        for name, moments in looked.items():
            moments.add(made.state.services[name].memories["all"].looked_at_ms)
    assert len(looked["busy"]) == 100
    assert len(looked["idle"]) <= 6


def test_a_sample_after_a_look_by_time_alone_is_answered_at_once():
    made = journal(policy(every="1s"))
    made.samples(60, 60, after_s=1)
    made.tick(after_s=1)
    assert looked_at(made) == made.at_ms
    assert scales(made.samples(90, 90, after_s=0.3)) == [(2, 3)]


def test_a_sample_soon_after_another_waits_for_its_turn():
    made = journal(policy(every="1s"))
    made.samples(60, 60, after_s=1)
    assert made.samples(90, 90, after_s=0.3) == []
    assert made.tick(after_s=0.6) == []
    assert scales(made.tick(after_s=0.1)) == [(2, 3)]


def test_a_policy_that_asks_for_more_than_a_second_keeps_to_it_whatever_comes():
    made = journal(policy(every="15s"))
    made.samples(60, 60, after_s=15)
    made.tick(after_s=15)
    for _ in range(14):
        assert made.samples(90, 90, after_s=1) == []
    assert scales(made.samples(90, 90, after_s=1)) == [(2, 3)]


def test_an_alert_is_asked_at_once_too():
    made = journal(alert(expr='avg("cpu", "1s") > 80.0', for_="0s").replace("every: 0s", "every: 1s"))
    made.samples(60, after_s=1)
    made.tick(after_s=1)
    assert "ALERT_FIRING" in reasons(made.samples(90, after_s=0.3))


@pytest.mark.parametrize("text", [policy(every="1s"), policy(every="15s")])
def test_samples_that_have_nobody_asked_are_kept_all_the_same(text):
    made = journal(text)
    made.samples(60, 60, after_s=15)
    before = looked_at(made)
    made.samples(70, 70, after_s=0.5)
    service = made.state.services["web"]
    assert service.calm_ms > made.at_ms
    assert looked_at(made) == before
    assert [one.value for one in service.series.values()] == [70, 70]
    assert (service.heard_ms, service.newest) == (made.at_ms, "metrics/0/3")
