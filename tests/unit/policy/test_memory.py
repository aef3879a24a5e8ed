"""What is remembered, of what, and for how long."""

import msgspec
import pytest

from app.policy.facts import Samples, Series
from app.policy.state import FORGET_MS, Observed, Service, empty, pack, unpack
from tests.unit.policy.builders import Journal, policy, reasons, scales


def journal(*texts, wanted=None):
    made = Journal()
    made.policies(*(texts or (policy(),)))
    if wanted:
        made.instances(wanted)
    return made


def test_a_state_of_another_version_is_not_read():
    state = empty(0)
    state.version += 1
    with pytest.raises(msgspec.DecodeError, match="make it again from the journal"):
        unpack(pack(state))
    with pytest.raises(msgspec.DecodeError):
        unpack(b"\x00not a state")


def test_evidence_names_the_record_of_the_services_own_newest_sample():
    made = journal(policy(service="*"))
    made.instances(1, service="web")
    made.instances(1, service="api")
    source = made.source("metrics", 3)
    series = [Series("web", "cpu", {"host": "web-0"}), Series("api", "cpu", {"host": "api-0"})]
    times = [made.at_ms, made.at_ms - 500, made.at_ms]
    decided = made.add(Samples(source, series, [0, 0, 1], times, [90.0, 90.0, 60.0], [0, 1, 2], [0, 0, 0]))
    assert [one.evidence["source"] for one in decided] == ["metrics/0/1"]
    assert decided[0].evidence["sample_at_ms"] == made.at_ms
    assert decided[0].evidence["fact"] == f"0/{len(made.records) - 1}"


def test_a_series_that_is_only_named_in_a_pack_is_no_instance():
    made = journal()
    series = [Series("web", "cpu", {"host": "web-0"}), Series("web", "cpu", {"host": "web-1"})]
    made.add(Samples(made.source("metrics"), series, [0], [made.at_ms], [90.0], [0], [0]))
    assert len(made.state.services["web"].series) == 1


def test_series_without_labels_are_one_instance():
    both = policy().replace(
        "  behavior:",
        "    - type: Pods\n"
        "      pods: {metric: {name: rps}, target: {type: AverageValue, averageValue: 100}}\n"
        "  behavior:",
    )
    made = journal(both)
    series = [Series("web", "cpu", {}), Series("web", "rps", {})]
    decided = []
    for after_s in (0, 10):
        at_ms = [made.at_ms + after_s * 1000] * 2
        pack_ = Samples(made.source("metrics", 2), series, [0, 1], at_ms, [60.0, 200.0], [0, 1], [0, 0])
        decided += made.add(pack_, after_s)
    assert scales(decided) == [(1, 2)]


def test_a_silent_service_is_forgotten_after_a_day_and_one_that_reports_is_not():
    made = journal(policy(service="*", every="1s"), wanted=2)
    made.samples(60, 60)
    made.tick(after_s=FORGET_MS / 2000)
    made.samples(60, 60, service="api")
    made.tick(after_s=FORGET_MS / 2000)
    assert list(made.state.services) == ["api"]
    made.tick(after_s=FORGET_MS / 2000)
    assert made.state.services == {}


def test_a_service_that_comes_back_after_silence_says_so_once():
    made = journal(policy(stale="10s"), wanted=2)
    made.samples(60, 60)
    assert reasons(made.tick(after_s=20, behind_s=0)) == ["NO_DATA"]
    assert reasons(made.samples(60, 60, after_s=1)) == ["WITHIN_TOLERANCE"]
    assert made.samples(60, 60, after_s=1) == []


def test_a_policy_on_trial_outvotes_nobody_even_when_it_is_asked_less_often():
    trial = policy("trial", target=6, mode="shadow", every="60s")
    made = journal(policy("real", every="0s"), trial)
    made.state.services["web"] = Service(observed=Observed(4, made.at_ms, 0), heard_ms=made.at_ms)
    made.samples(60, 60, 60, 60)
    decided = made.samples(20, 20, 20, 20, after_s=60)
    assert [(one.policy, one.shadow, *scales([one])) for one in decided] == [
        ("real", False, (4, 2)),
        ("trial", True, (4, 8)),
    ]
    assert scales(made.outcome(decided[0].action)) == [(2, 1)]


def test_a_policy_asked_less_often_keeps_its_vote_between():
    made = journal(policy("keen", target=20, every="60s"), policy("calm", target=60), wanted=4)
    made.samples(20, 20, 20, 20)
    made.samples(20, 20, 20, 20, after_s=60)
    assert reasons(made.samples(20, 20, 20, 20, after_s=1)) == []
    assert {one.policy: one.reason.value for one in made.decisions[1:]} == {"calm": "OUTVOTED"}


def test_memory_for_a_series_stays_below_a_kilobyte():
    made = journal(policy(service="*", down_window=300), wanted=None)
    for turn in range(100):
        made.samples(*[(turn * 37 + i * 11) % 130 for i in range(20)], after_s=1)
    assert len(pack(made.state)) < 20 * 100 + 2000


def test_a_value_beyond_all_sense_wishes_for_no_more_than_can_be_written():
    made = journal(policy(most=2_000_000_000), wanted=1)
    made.samples(1e100)
    assert unpack(pack(made.state)).services["web"].observed.replicas == 1
