"""Step scaling: by ranges, away from zero, and never twice for one cause."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.policy.facts import Instances, InstanceSeen
from app.policy.model_steps import Range, Steps
from app.policy.steps import change_of
from tests.unit.policy.builders import reasons, scales
from tests.unit.policy.test_kinds_of_metric import feed, journal, lines, mistakes, scale

RANGES = "[{from: 80, to: 95, change: 2}, {from: 95, percent: 50, least: 3}, {to: 30, change: -1}]"


def steps(ranges=RANGES, cooldown="{up: 60s, down: 60s}", metric="cpu", **more):
    return scale(f"{{type: Steps, steps: {{metric: {{name: {metric}}}, ranges: {ranges}}}}}", cooldown=cooldown, **more)


def test_it_steps_by_the_range_that_the_mean_is_in_and_says_so():
    made = journal(steps(), wanted=4)
    assert made.samples(60, 70, 60, 70) == [], "in no range"
    (up,) = made.samples(80, 90, 80, 90, after_s=1)
    assert scales([up]) == [(4, 6)]
    assert lines(up) == ["cpu averages 85 over 4 series, in the range from 80 below 95; step +2, so 6 replicas"]
    assert up.evidence["sample_at_ms"] == made.at_ms


@pytest.mark.parametrize(
    ("value", "wanted", "scaled"),
    [
        (79.9, 4, []), (80, 4, [(4, 6)]), (94.9, 4, [(4, 6)]), (95, 4, [(4, 7)]), (95, 9, [(9, 14)]),
        (30, 4, []), (29.9, 4, [(4, 3)]), (29.9, 1, []), (99, 19, [(19, 20)]),
    ],
)  # fmt: skip
def test_a_range_has_its_beginning_and_not_its_end_and_limits_hold(value, wanted, scaled):
    made = journal(steps(), wanted=wanted)
    made.samples(*[60] * wanted)
    assert scales(made.samples(*[value] * wanted, after_s=1)) == scaled


@given(st.integers(-300, 300).filter(bool), st.integers(0, 1000), st.none() | st.integers(1, 20))
def test_a_percentage_is_rounded_away_from_zero_and_no_smaller_than_the_least(percent, current, least):
    found = change_of(Range(to=1, percent=percent, least=least), current)
    exact = percent * current / 100
    assert found * percent >= 0
    assert abs(exact) - 1e-9 <= abs(found) < max(abs(exact) + 1, (least or 0) + 1)
    assert abs(found) >= (least or 0)


@given(st.lists(st.integers(-50, 50), min_size=2, max_size=8, unique=True), st.floats(-60, 60))
def test_a_value_is_in_the_one_range_that_holds_it_or_in_none(borders, value):
    borders.sort()
    pairs = list(zip(borders[::2], borders[1::2], strict=False))
    found = Steps(
        metric={"name": "cpu"}, ranges=[{"from": low, "to": high, "change": 1} for low, high in pairs]
    ).at(value)  # fmt: skip
    holding = [(low, high) for low, high in pairs if low <= value < high]
    assert [(found.low, found.high)] * len(holding) == holding if found else holding == []


@pytest.mark.parametrize(
    ("ranges", "why"),
    [
        ("[{from: 10, to: 30, change: 1}, {from: 20, change: 2}]", "the ranges [10, 30) and [20, inf) overlap"),
        ("[{to: 20, change: 1}, {to: 30, change: 2}]", "overlap"),
        ("[{change: 1}]", "needs from, to, or both"),
        ("[{from: 3, to: 3, change: 1}]", "from (3) must be below to (3)"),
        ("[{from: 3}]", "needs change or percent"),
        ("[{from: 3, change: 0}]", "needs change or percent"),
        ("[{from: 3, change: 1, percent: 5}]", "needs change or percent"),
        ("[{from: 3, change: 1, least: 5}]", "least goes with percent"),
    ],
)
def test_ranges_with_a_mistake_are_told(ranges, why):
    assert why in mistakes(steps(ranges))


def test_a_direction_that_can_be_stepped_in_needs_a_cooldown():
    assert "steps up need cooldown.up" in mistakes(steps(cooldown="{down: 1m}"))
    assert "steps down need cooldown.down" in mistakes(steps(cooldown="{up: 1m}"))
    assert journal(steps("[{from: 80, change: 1}]", cooldown="{up: 1m}"))


def test_while_a_step_is_under_way_and_in_its_cooldown_there_is_no_second():
    made = journal(steps(), wanted=4)
    (up,) = made.samples(85, 85, 85, 85)
    pending = made.samples(85, 85, 85, 85, after_s=1)
    assert reasons(pending) == ["COOLING_DOWN"]
    assert made.outcome(up.action, after_s=20) == [], "the samples are of before, and it is cooling down"
    assert scales(made.samples(*[85] * 6, after_s=30)) == []
    assert scales(made.samples(*[85] * 6, after_s=10)) == [(6, 8)]


def test_samples_from_before_the_last_step_are_no_cause_for_another():
    made = journal(steps(cooldown="{up: 5s, down: 5s}"), wanted=4)
    (up,) = made.samples(85, 85, 85, 85)
    made.outcome(up.action)
    late = [one for _ in range(4) for one in made.tick(after_s=5)]
    assert scales(late) == [], "its cooldown is over, and nothing new was measured"
    assert "no sample from after the last scaling" in made.decisions[-1].evidence["failed"][0]
    assert scales(made.samples(*[85] * 6, after_s=1)) == [(6, 8)]


def test_a_step_that_was_not_done_is_not_done_later_when_it_is_calm():
    made = journal(steps(downscaleStabilization="5m"), wanted=4)
    made.command("pause")
    assert reasons(made.samples(85, 85, 85, 85)) == ["PAUSED"]
    made.samples(60, 60, 60, 60, after_s=10)
    made.command("resume")
    made.samples(60, 60, 60, 60, after_s=1)
    assert scales(made.decisions) == []


def test_a_step_is_set_in_one_jump_without_a_behavior_and_held_by_one():
    ranges = "[{from: 80, change: 9}]"
    assert scales(journal(steps(ranges), wanted=1).samples(90)) == [(1, 10)]
    behavior = "{scaleUp: {policies: [{type: Pods, value: 2, periodSeconds: 60}]}}"
    assert scales(journal(steps(ranges, behavior=behavior), wanted=1).samples(90)) == [(1, 3)]


def test_an_instance_that_says_nothing_holds_a_step_down_and_not_one_up():
    made = journal(steps(), wanted=4)
    made.samples(60, 60, 60, 60)
    made.tick(after_s=61, behind_s=0)
    made.samples(60, 60, 60, 60)
    made.samples(60, 60, 60, after_s=40)
    made.tick(after_s=30, behind_s=0)
    decided = made.samples(10, 10, 10, after_s=1)
    assert scales(decided) == []
    assert "1 instances say nothing" in decided[0].evidence["failed"][0]
    assert scales(made.samples(90, 90, 90, after_s=1)) == [(4, 6)]


def observed(made, *instances):
    seen = [InstanceSeen(name, phase, 0, ready=True) for name, phase in instances]
    source = made.source("instances")
    made.add(Instances(source, "web", made.at_ms, len(seen), len(seen), instances=seen))


def test_series_of_instances_that_are_gone_do_not_count():
    made = journal(steps(), wanted=2)
    observed(made, ("web-0", "Running"), ("web-1", "Running"), ("web-9", "Failed"))
    feed(made, [10], "cpu", pod="web-old")
    feed(made, [85], "cpu", pod="web-0")
    assert scales(made.decisions) == [(3, 5)], "only the one that runs and reports counts, and only upwards"
    down = journal(steps(), wanted=2)
    observed(down, ("web-0", "Running"), ("web-1", "Running"))
    assert scales(feed(down, [10], "cpu", pod="web-0")) == [], "the other says nothing"
    assert scales(feed(down, [10], "cpu", pod="web-1")) == [(2, 1)]


def test_a_metric_that_all_share_steps_too():
    made = journal(steps("[{from: 100, change: 1}, {to: 10, change: -1}], shared: true", metric="jobs"), wanted=3)
    observed(made, ("web-0", "Running"), ("web-1", "Running"), ("web-2", "Running"))
    assert scales(feed(made, [50, 5], host="rabbit")) == [(3, 2)]


def test_a_step_down_waits_for_its_window():
    made = journal(steps(downscaleStabilization="60s"), wanted=4)
    made.samples(60, 60, 60, 60)
    assert reasons(made.samples(10, 10, 10, 10, after_s=1)) == ["STABILIZED"]
    assert scales([one for _ in range(7) for one in made.samples(10, 10, 10, 10, after_s=10)]) == [(4, 3)]
