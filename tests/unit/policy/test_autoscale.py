"""What one autoscaler remembers of what was asked for: no more than can count again."""

import random

import pytest

from app.policy.autoscale import KEPT, Limits, Past, Recommendation, Rules, left_alone, stabilized

HOUR_MS = 3_600_000
WAYS = {
    "one window": Limits(1, 99, HOUR_MS),
    "a window each way": Limits(1, 99, up=Rules(HOUR_MS, "Max", ()), down=Rules(HOUR_MS, "Max", ())),
}


def past(*replicas):
    """What was asked for, a second after the other; not in order, since places are used again."""
    made = [Recommendation(one, 1000 * second) for second, one in enumerate(replicas)]
    random.Random(1).shuffle(made)
    return Past(made, begun=True)


@pytest.mark.parametrize("limits", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize(("asked", "current", "outdone"), [(4, 4, 4), (2, 6, 3), (12, 6, 9)])
def test_of_many_recommendations_what_something_newer_outdoes_both_ways_is_forgotten(limits, asked, current, outdone):
    asked_for = (*[5] * (KEPT - 6), 1, 9, 9, 3, 3, 4)
    now_ms = 1000 * KEPT
    many, few = past(*asked_for), past(1, 9, 3, 4)
    assert stabilized(many, limits, current, asked, now_ms) == stabilized(few, limits, current, asked, now_ms)
    kept = {1: KEPT - 6, 9: KEPT - 4, 3: KEPT - 2, 4: KEPT - 1}
    del kept[outdone]
    assert many.recommendations == [
        *(Recommendation(one, 1000 * second) for one, second in kept.items()), Recommendation(asked, now_ms)
    ]  # fmt: skip


def test_as_long_as_they_are_few_recommendations_are_kept_as_they_are():
    found = past(*[5] * (KEPT - 1))
    stabilized(found, WAYS["one window"], 5, 5, 1000 * KEPT)
    assert len(found.recommendations) == KEPT
    stabilized(found, WAYS["one window"], 5, 5, 1000 * KEPT + 1000)
    assert found.recommendations == [Recommendation(5, 1000 * KEPT + 1000)]


def test_what_is_too_old_for_the_window_is_written_over():
    found = past(9)
    for second in (10, 20, 30):
        assert stabilized(found, Limits(1, 99, window_ms=5000), 9, 3, 1000 * second) == 3
    assert found.recommendations == [Recommendation(3, 30_000)]


@pytest.mark.parametrize(("least", "alone"), [(0, False), (1, True), (2, True)])
def test_without_scaling_to_zero_a_service_at_zero_is_left_alone_unless_that_is_its_least(least, alone):
    assert left_alone(Past(), Limits(least, 9, to_zero=False), 0) is alone
