"""Stabilization against a plain account of every recommendation ever made."""

from hypothesis import given
from hypothesis import strategies as st

from app.policy.files import compiled, load
from app.policy.scale import held, stabilized, within
from app.policy.state import Memory
from tests.unit.policy.builders import policy

STEPS = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 12)), min_size=1, max_size=60)


def spec_of(**values):
    return compiled(load({"a.yaml": policy(**values)})[0]).spec


def plain(recommendations, wanted, current, spec, now_ms):
    """Kubernetes' stabilization written out, on a list that forgets nothing."""
    least = most = wanted
    for at_ms, replicas in recommendations:
        if at_ms > now_ms - spec.window_ms(up=True):
            least = min(least, replicas)
        if at_ms > now_ms - spec.window_ms(up=False):
            most = max(most, replicas)
    result = max(current, least)
    return min(result, most) if result > most else result


@given(STEPS, st.sampled_from([0, 7, 30]), st.sampled_from([0, 10, 60]), st.integers(1, 12))
def test_forgetting_what_a_newer_recommendation_exceeds_changes_no_answer(steps, up_window, down_window, current):
    spec = spec_of(up_window=up_window, down_window=down_window)
    memory, account, now_ms = Memory(), [], 1_000_000
    for after_s, wanted in steps:
        now_ms += after_s * 1000
        account = account or [(now_ms, current)]
        expected = plain(account, wanted, current, spec, now_ms)
        account.append((now_ms, wanted))
        current = stabilized(spec, memory, wanted, current, now_ms)
        assert current == expected
        assert len(memory.recommendations) <= 24  # twice the replicas' range


def test_a_recommendation_as_old_as_the_window_does_not_count_any_more():
    spec, memory = spec_of(down_window=10), Memory()
    assert stabilized(spec, memory, 4, 4, 0) == 4
    assert stabilized(spec, memory, 1, 4, 9_999) == 4
    assert stabilized(spec, memory, 1, 4, 10_000) == 1


def test_a_hold_starts_anew_when_the_wish_changes_sides():
    spec, memory = spec_of(up_for="5s", down_for="5s"), Memory()
    assert held(spec, memory, 6, 4, 0) == 4
    assert held(spec, memory, 2, 4, 4_000) == 4
    assert held(spec, memory, 6, 4, 6_000) == 4
    assert held(spec, memory, 7, 4, 11_000) == 7


def test_the_borders_of_the_tolerance_are_inside_in_float64():
    assert within(1.1, 0.1)
    assert within(0.9, 0.1)
    assert not within(1.1000000000000003, 0.1)
    assert not within(0.8999999999999998, 0.1)
