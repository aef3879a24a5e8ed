"""Metrics made small: nothing is lost of a stretch but its grain."""

from hypothesis import given
from hypothesis import strategies as st

from app.history.condense import BUCKETS, Bucket, Condensed, notable
from app.policy.facts import Samples, Series, Source


def pack(service, *samples):
    """Samples as (instance, at_ms, value)."""
    hosts = sorted({host for host, _, _ in samples})
    series = [Series(service, "cpu", {"host": host}) for host in hosts]
    each = range(len(samples))
    return Samples(
        Source("metrics", "id", 0, 0, len(samples)), series, [hosts.index(host) for host, _, _ in samples],
        [at for _, at, _ in samples], [value for _, _, value in samples], list(each), [0 for _ in each],
    )  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 99_999), st.floats(-1e6, 1e6)), min_size=1))
def test_condensing_loses_no_sample_and_no_extreme(samples):
    condensed = Condensed("web", 0, 100_000)
    condensed.take(pack("web", *samples))
    (buckets,) = condensed.metrics().values()
    assert len(buckets) <= BUCKETS
    assert sum(one.count for one in buckets) == condensed.samples == len(samples)
    assert min(one.least for one in buckets) == min(value for _, _, value in samples)
    assert max(one.most for one in buckets) == max(value for _, _, value in samples)
    assert [one.at_ms for one in buckets] == sorted(one.at_ms for one in buckets)


def test_samples_of_others_and_outside_of_the_stretch_do_not_count():
    condensed = Condensed("web", 1000, 2000)
    condensed.take(pack("api", ("a", 1500, 1.0)))
    condensed.take(pack("web", ("a", 999, 1.0), ("a", 2000, 1.0), ("a", 1000, 1.0)))
    assert condensed.samples == 1


def test_samples_that_come_again_in_other_packs_count_once():
    condensed = Condensed("web", 0, 10_000)
    samples = [("a", n * 1000, float(n)) for n in range(6)]
    condensed.take(pack("web", *samples[:4]))
    condensed.take(pack("web", *samples))
    assert condensed.samples == 6


def test_a_metric_is_told_where_something_was_done():
    buckets = [Bucket(n * 1000, 10.0, 1, 10.0, 10.0) for n in range(6)]
    assert [one.at_ms for one in notable(buckets, [3500], 1000)] == [0, 3000, 5000]


def test_a_metric_is_told_first_last_and_when_it_moved_by_a_quarter():
    means = [10, 11, 12, 13, 14, 5, 5, 5]
    buckets = [Bucket(n, float(mean), 1, mean, mean) for n, mean in enumerate(means)]
    assert [one.mean for one in notable(buckets)] == [10, 13, 5, 5]
