"""What windows come to: quantiles are exact where every value is kept, and fair and bounded where not."""

import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.policy.aggregates import aggregate, quantile, rate
from app.policy.state import Series, Service, empty, pack
from app.policy.windows import BUCKETS, VALUES, Keep, Window, width_for

SAMPLES = st.lists(st.tuples(st.integers(0, 34_000), st.floats(-1e6, 1e6)), min_size=2, max_size=VALUES)


def window_of(samples, width_ms=2000, values=True):
    made = Window.of(width_ms, values=values)
    for at_ms, value in samples:
        made.add(at_ms, value)
    return made


@given(SAMPLES, st.integers(1, 99))
@settings(deadline=None)
def test_a_quantile_of_few_samples_is_the_exact_one(samples, percent):
    newest = max(at_ms for at_ms, _ in samples)
    expected = statistics.quantiles([value for _, value in samples], n=100, method="inclusive")[percent - 1]
    found = quantile([window_of(samples)], percent / 100, newest - 36_000)
    assert found == pytest.approx(expected, abs=1e-6)


@given(SAMPLES, st.integers(1, 63))
@settings(deadline=None)
def test_two_series_have_the_quantile_of_all_their_samples(samples, cut):
    both = [window_of(part) for part in (samples[:cut], samples[cut:]) if part]
    assert quantile(both, 0.9, -2000) == quantile([window_of(samples)], 0.9, -2000)


@given(st.lists(st.tuples(st.integers(0, 1999), st.floats(-1e3, 1e3)), min_size=200, max_size=300), st.randoms())
@settings(deadline=None, max_examples=30)
def test_a_crowded_bucket_keeps_a_bounded_draw_that_no_order_changes(samples, random):
    one, two = window_of(samples), window_of(random.sample(samples, len(samples)))
    assert one.kept == two.kept
    assert len(one.kept[0]) == VALUES
    assert {value for _, value in one.kept[0]} <= {value for _, value in samples}


def test_a_crowded_bucket_weighs_as_much_as_its_samples_and_its_draw_is_fair():
    ramp = window_of([(n, float(n)) for n in range(2000)])
    for share in (0.1, 0.5, 0.9):
        assert quantile([ramp], share, 0) == pytest.approx(2000 * share, abs=250)
    few = window_of([(n * 100, -5.0) for n in range(20)])
    assert quantile([ramp, few], 0.5, 0) > 500, "twenty samples beside two thousand are one in a hundred"


def test_what_is_unknown_is_none_and_a_window_without_values_knows_no_quantile():
    plain = window_of([(0, 1.0), (3000, 2.0)], values=False)
    assert plain.kept is None
    assert quantile([plain], 0.5, 0) is None
    assert quantile([], 0.5, 0) is None
    assert [aggregate(name, [], 0) for name in ("avg", "min", "max", "sum", "count", "last", "rate")] == [None] * 7
    assert rate([window_of([(0, 1.0), (10, 5.0)])], 0) is None, "within one bucket there is no rate"


def test_the_others_are_of_all_samples_and_last_of_the_newest_of_each_series():
    windows = [window_of([(0, 1.0), (3000, 5.0), (5000, 3.0)]), window_of([(5000, 7.0)])]
    found = {name: aggregate(name, windows, 0) for name in ("avg", "min", "max", "sum", "count", "last", "rate")}
    assert found == {"avg": 4.0, "min": 1.0, "max": 7.0, "sum": 16.0, "count": 4.0, "last": 5.0, "rate": 7.0 / 5}


def test_values_are_kept_only_of_what_a_quantile_is_asked():
    assert Keep(1000).and_also(Keep(0, values=True)) == Keep(1000, values=True)
    assert Keep().window() is None
    assert Keep(1800, values=True).window() == Window.of(100, values=True)


def test_a_window_full_of_values_is_bounded():

    state = empty(0)
    full = window_of([(n * 10, n / 7) for n in range(30_000)], width_for(300_000))
    state.services["web"] = Service(series={"cpu": Series("cpu", 0, 0.0, full)})
    assert len(full.buckets) <= BUCKETS + 1
    assert len(pack(state)) < 20_000


@pytest.mark.parametrize(("since_ms", "values"), [(2000, [2.0, 3.0, 4.0]), (4000, [3.0, 4.0]), (8001, [4.0])])
def test_of_a_window_with_gaps_only_what_is_of_the_time_counts(since_ms, values):
    made = window_of([(0, 1.0), (3999, 2.0), (6000, 3.0), (20_000, 4.0)])
    assert [one.last for one in made.since(since_ms)] == values
    assert aggregate("min", [made], since_ms) == values[0]


def test_of_two_samples_of_one_moment_the_second_is_the_newest():
    assert aggregate("last", [window_of([(10, 1.0), (10, 2.0)])], 0) == 2.0


def test_a_window_keeps_all_that_may_be_of_its_time_and_no_values_of_before():
    made = window_of([(1999, 1.0), (2000, 2.0), (37_999, 3.0)])
    assert [one.last for one in made.since(37_999 - 36_000)] == [1.0, 2.0, 3.0]
    made.add(38_000, 4.0)
    assert [one.last for one in made.buckets] == [2.0, 3.0, 4.0]
    assert list(made.kept) == [one.place for one in made.buckets]
