"""A backlog and its deadline: the fewest workers that make it, evenly shared, in one jump, and down with a margin."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.policy.backlog import Bounds, divisors, workers
from tests.unit.policy.builders import reasons, scales
from tests.unit.policy.test_kinds_of_metric import feed, journal, lines, mistakes, scale


def backlog(words="", deadline="5m", per_replica=20, most=100, **more):
    inner = f"metric: {{name: jobs}}, deadline: {deadline}, perReplica: {per_replica}{words}"
    metric = more.pop("metric", "")
    return scale(f"{{type: Backlog, backlog: {{{inner}}}{metric}}}", most=most, **more)


# arithmetic

NEEDS = st.floats(0, 400)
COUNTS = st.integers(0, 60)


@given(COUNTS, NEEDS, st.floats(0, 0.5), st.integers(1, 50))
def test_what_is_asked_for_makes_the_deadline_and_is_never_more_than_that_takes(current, needed, tolerance, most):
    bounds = Bounds(0, most, 0)
    found = workers(current, needed, tolerance, bounds)
    assert found >= needed - 1e-6
    assert found <= max(current, needed + 1)
    if found < current:
        assert found * (1 - tolerance) >= needed - 1e-6, "fewer only with a margin"


@given(COUNTS, NEEDS, st.floats(0, 0.5), st.integers(1, 50), st.integers(1, 48), st.integers(0, 8))
def test_the_partitions_are_shared_evenly_and_none_has_nothing_to_do(
    current, needed, tolerance, most, partitions, least
):
    least = min(least, most, partitions)
    found = workers(current, needed, tolerance, Bounds(least, most, partitions))
    assert found <= partitions
    assert found == current or not found or partitions % found == 0
    if found < current <= partitions:
        assert found * (1 - tolerance) >= needed - 1e-6, "a cut wish is no reason to go down"
    if found > current:
        enough = [one for one in divisors(partitions) if one >= max(needed - 1e-9, least) and one <= most]
        assert found == (enough[0] if enough else max(one for one in divisors(partitions) if one <= most))


@given(COUNTS, NEEDS, NEEDS, st.integers(0, 24))
def test_a_larger_need_never_asks_for_fewer(current, one, other, partitions):
    bounds = Bounds(1, 50, partitions)
    low, high = sorted((one, other))
    assert workers(current, low, 0.1, bounds) <= workers(current, high, 0.1, bounds)


@given(NEEDS, st.integers(0, 24), COUNTS, st.lists(st.floats(0.95, 1), max_size=10))
def test_it_settles_at_once_and_a_need_that_hovers_does_not_flap(needed, partitions, current, noise):
    bounds = Bounds(1, 400, partitions)
    settled = workers(current, needed, 0.1, bounds)
    for share in (1, *noise):
        settled, before = workers(settled, needed * share, 0.1, bounds), settled
        assert settled <= before, "it has been enough for the highest"
    assert workers(settled, needed, 0.1, bounds) == settled, "and what was given up was not needed"


def test_divisors_are_all_and_in_order():
    assert divisors(12) == (1, 2, 3, 4, 6, 12)
    assert divisors(1) == (1,)
    assert divisors(49) == (1, 7, 49)


# through the engine


def test_a_burst_is_met_in_one_jump_with_the_fewest_that_make_the_deadline():
    made = journal(backlog(), wanted=1)
    assert feed(made, [3000]) == []
    (up,) = feed(made, [60_000])
    assert scales([up]) == [(1, 10)], "60,000 in 300 s are 200 a second, and one does 20"
    (line,) = lines(up)
    assert line == (
        "jobs is 60000; to be done within 300s, 20 a second each (given), it needs 10 workers, "
        "so 10 replicas: done in 300s"
    )


def test_an_explicit_behavior_holds_the_jump_back():
    behavior = "{scaleUp: {policies: [{type: Pods, value: 3, periodSeconds: 60}]}}"
    assert scales(feed(journal(backlog(behavior=behavior), 1), [60_000])) == [(1, 4)]


def test_new_work_that_comes_in_has_its_own_workers():
    made = journal(backlog(", inflow: {name: published, over: 36s, aggregate: rate}"), wanted=1)
    feed(made, range(0, 1000, 200), "published", after_s=2)
    assert scales(made.decisions) == []
    (up,) = feed(made, [6000])
    assert scales([up]) == [(1, 6)], "20 a second wait, 100 come in"
    assert "is 6000 and 100 more a second; to be" in lines(up)[0]


def test_while_the_inflow_is_unknown_it_asks_for_more_and_never_for_less():
    made = journal(backlog(", inflow: {name: published}"), wanted=4)
    decided = feed(made, [10] * 80)
    assert scales(decided) == []
    assert scales(feed(made, [60_000])) == [(4, 10)]
    assert "there is no fresh sample of published" in lines(made.decisions[-1])[0]


def test_partitions_are_shared_evenly_and_what_they_do_not_allow_is_said():
    made = journal(backlog(", partitions: 12"), wanted=3)
    (up,) = feed(made, [42_000])
    assert scales([up]) == [(3, 12)], "7 are needed, and 12 share evenly"
    made.outcome(up.action)
    (told,) = feed(made, [90_000])
    assert (told.reason, told.action) == ("AT_PARTITIONS", None)
    assert "needs 15 workers, shared evenly by 12 partitions, so 12 replicas: done in 375s" in lines(told)[0]
    over = journal(backlog(", partitions: 12", most=5), wanted=5)
    assert scales(feed(over, [90_000])) == [], "4 would be even, and no more work done"


def test_fewer_come_with_a_margin_and_what_stays_about_the_same_changes_nothing():
    made = journal(backlog(), wanted=10)
    feed(made, [60_000])
    assert scales(feed(made, [55_000, 59_000, 48_700])) == [], "9 would make it, with less than a tenth to spare"
    assert scales(feed(made, [48_000])) == [(10, 9)]


def test_nothing_waits_and_nothing_comes_so_nobody_works_where_that_is_allowed():
    made = journal(backlog(least=0), wanted=3)
    assert scales(feed(made, [0])) == [(3, 0)]
    awake = journal(backlog(metric=", activation: 50", least=0), wanted=3)
    feed(awake, [18_000])
    (down,) = feed(awake, [50])
    assert (down.reason, scales([down])) == ("INACTIVE", [(3, 0)])
    awake.outcome(down.action)
    assert scales(feed(awake, [51])) == [(0, 1)]


def measured(made, jobs, speed, count):
    """Speeds of so many workers, then how much waits."""
    for n in range(count):
        feed(made, [speed], "speed", after_s=0.1, pod=f"w{n}")
    return feed(made, [jobs])


def test_a_measured_speed_counts_while_workers_are_busy_and_is_remembered_when_they_are_not():
    made = journal(backlog(", perReplicaMetric: {name: speed}"), wanted=2)
    burst = measured(made, 12_000, 0.5, 2)
    assert scales(burst) == [], "the speed is from before, when nothing waited: 20 each are enough"
    (up,) = measured(made, 12_000, 10, 2)
    assert scales([up]) == [(2, 4)], "each does 10 and not 20"
    assert "10 a second each (measured)" in lines(up)[0]
    made.outcome(up.action)
    idle = measured(made, 30, 0.5, 4)
    assert scales(idle) == [(4, 1)], "idle ones do little, which is no sign of what they can do"
    assert "10 a second each (measured before)" in lines(idle[-1])[0]
    assert len(made.state.services["web"].memories["web"].speeds) == 1


def test_idle_workers_are_not_taken_for_slow_ones():
    made = journal(backlog(", perReplicaMetric: {name: speed}, inflow: {name: published}"), wanted=2)
    feed(made, [20], "published")
    decided = [one for n in range(20) for one in measured(made, 3 + n % 3, 10, 2)]
    assert scales(decided) == [], "each does the 10 that come in, and 20 when it has to"


@pytest.mark.parametrize("words", ["", ", perReplicaMetric: {name: speed}"])
def test_where_no_speed_is_measured_the_given_one_counts(words):
    assert scales(feed(journal(backlog(words), 1), [60_000])) == [(1, 10)]


@pytest.mark.parametrize(
    ("words", "more", "why"),
    [
        (", partitions: 2", {"least": 3}, "minReplicas (3) is above partitions (2)"),
        ("", {"deadline": "0s"}, "has to be above 0"), ("", {"per_replica": 0}, "has to be above 0"),
        (", inflow: {name: a, aggregate: rate}", {}, "aggregate rate needs over"),
        (", partitions: 0", {}, "has to be at least 1"),
    ],
)  # fmt: skip
def test_a_plan_with_a_mistake_is_told(words, more, why):
    assert why in mistakes(backlog(words, **more))


def test_without_data_nothing_changes():
    made = journal(backlog(), wanted=5)
    feed(made, [60_000 / 2])
    assert reasons([one for _ in range(3) for one in made.tick(after_s=40, behind_s=0)]) == ["NO_DATA"]
