"""What windows come to: quantiles are exact where every value is kept, and fair and bounded where not."""

import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.policy.aggregates import aggregate, quantile, rate
from app.policy.columns import ALL, LEAST, MOST, NEWEST, TOTALS, VALUES, Bucket, Layout
from app.policy.state import Series, Service, empty, pack
from app.policy.windows import BUCKETS, MOST_VALUES, Keep, Window, width_for

SAMPLES = st.lists(st.tuples(st.integers(0, 34_000), st.floats(-1e6, 1e6)), min_size=2, max_size=MOST_VALUES)


FUNCTIONS = ("avg", "min", "max", "sum", "count", "rate")


def window_of(samples, width_ms=2000, columns=ALL):
    made = Window.of(width_ms, columns)
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
    assert len(one.kept[0]) == MOST_VALUES
    assert {value for _, value in one.kept[0]} <= {value for _, value in samples}


def test_a_crowded_bucket_weighs_as_much_as_its_samples_and_its_draw_is_fair():
    ramp = window_of([(n, float(n)) for n in range(2000)])
    for share in (0.1, 0.5, 0.9):
        assert quantile([ramp], share, 0) == pytest.approx(2000 * share, abs=250)
    few = window_of([(n * 100, -5.0) for n in range(20)])
    assert quantile([ramp, few], 0.5, 0) > 500, "twenty samples beside two thousand are one in a hundred"


def test_what_is_unknown_is_none_and_a_window_without_values_knows_no_quantile():
    plain = window_of([(0, 1.0), (3000, 2.0)], columns=ALL & ~VALUES)
    assert plain.kept is None
    assert quantile([plain], 0.5, 0) is None
    assert quantile([], 0.5, 0) is None
    assert [aggregate(name, [], 0) for name in FUNCTIONS] == [None] * len(FUNCTIONS)
    assert rate([window_of([(0, 1.0), (10, 5.0)])], 0) is None, "within one bucket there is no rate"


def test_the_others_are_of_all_samples():
    windows = [window_of([(0, 1.0), (3000, 5.0), (5000, 3.0)]), window_of([(5000, 7.0)])]
    found = {name: aggregate(name, windows, 0) for name in FUNCTIONS}
    assert found == {"avg": 4.0, "min": 1.0, "max": 7.0, "sum": 16.0, "count": 4.0, "rate": 7.0 / 5}


def test_values_are_kept_only_of_what_a_quantile_is_asked():
    assert Keep(1000, LEAST).and_also(Keep(0, VALUES)) == Keep(1000, LEAST | VALUES)
    assert Keep().window() is None
    assert Keep(1800, VALUES).window() == Window.of(100, VALUES)


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
    assert window_of([(10, 1.0), (10, 2.0)]).newest_since(0) == [(10, 2.0)]


def test_a_window_keeps_all_that_may_be_of_its_time_and_no_values_of_before():
    made = window_of([(1999, 1.0), (2000, 2.0), (37_999, 3.0)])
    assert [one.last for one in made.since(37_999 - 36_000)] == [1.0, 2.0, 3.0]
    made.add(38_000, 4.0)
    assert [one.last for one in made.buckets] == [2.0, 3.0, 4.0]
    assert list(made.kept) == [one.place for one in made.buckets]


@given(SAMPLES, st.sampled_from(range(1, ALL + 1)))
@settings(deadline=None)
def test_a_column_is_the_same_whatever_else_is_kept(samples, columns):
    whole, some = window_of(samples), window_of(samples, columns=columns)
    assert len(some.buckets) == len(whole.buckets)
    for column, functions in ((TOTALS, ("avg", "sum", "count")), (LEAST, ["min"]), (MOST, ["max"]), (NEWEST, ["rate"])):
        for function in functions:
            wanted = aggregate(function, [whole], 4000) if columns & column else None
            assert aggregate(function, [some], 4000) == wanted
    if columns & VALUES and columns & TOTALS:
        assert quantile([some], 0.5, 4000) == quantile([whole], 0.5, 4000)
    assert some.keeping(columns) == some


def test_what_is_kept_of_a_window_can_change_and_what_it_knew_stays():
    made = window_of([(0, 5.0), (3000, 1.0)], columns=MOST | NEWEST).keeping(MOST | LEAST | TOTALS | VALUES)
    assert aggregate("max", [made], 0) == 5.0
    assert [aggregate(name, [made], 0) for name in ("min", "avg", "sum", "count", "rate")] == [None] * 5
    assert quantile([made], 0.5, 0) is None
    made.add(3500, 9.0)
    made.add(4000, 3.0)
    assert {name: aggregate(name, [made], 0) for name in FUNCTIONS} == {
        "max": 9.0, "min": 3.0, "avg": 6.0, "sum": 12.0, "count": 2.0, "rate": None,
    }  # fmt: skip
    assert quantile([made], 1.0, 0) == 9.0
    again = made.keeping(NEWEST)
    assert again.kept is None
    assert again.newest_since(0) == []
    again.add(4100, 2.0)
    again.add(6100, 4.0)
    assert again.newest_since(0) == [(4100, 2.0), (6100, 4.0)]


@pytest.mark.parametrize("columns", range(VALUES))
def test_rows_hold_what_is_kept_of_buckets_and_nothing_else(columns):
    layout = Layout(columns)
    some = [Bucket(7, 3, 250, 6.5, -1.0, 5.5, 2.0), Bucket(-9, 2**32 - 1, 2**31, -0.5, -1e300, 1e300, -2.0)]
    rows = b"".join(map(layout.row, some))
    assert len(rows) == 2 * layout.size
    assert layout.size == 8 + sum(size for bit, size in ((1, 12), (2, 8), (4, 8), (8, 12)) if columns & bit)
    none = Bucket(0)
    for one, found in zip(some, layout.buckets(rows), strict=True):
        assert found.place == one.place
        assert (found.samples, found.total) == ((one[1], one[3]) if columns & TOTALS else (none[1], none[3]))
        assert found.least == (one.least if columns & LEAST else none.least)
        assert found.most == (one.most if columns & MOST else none.most)
        assert (found.after_ms, str(found.last)) == ((one[2], str(one[6])) if columns & NEWEST else (0, "nan"))
