"""Where the numbers of a metric come from: which instances and samples count, and what is said of them."""

import pytest

from app.policy.facts import Instances, InstanceSeen
from tests.unit.policy.builders import Journal, policy, reasons, scales
from tests.unit.policy.test_kinds_of_metric import computed, external, feed, journal, scale, wished

SHARED = "{type: AverageValue, averageValue: 10}"


def pods(name="jobs", **more):
    words = "".join(f", {key}: {value}" for key, value in more.items())
    return f"{{type: Pods, pods: {{metric: {{name: {name}}}, target: {SHARED}}}{words}}}"


def observed(made, wanted, running=None, each=None):
    running = wanted if running is None else running
    return made.add(Instances(made.source("instances"), "web", made.at_ms, wanted, wanted, 0, running, each))


def last(made):
    (metric,) = made.decisions[-1].evidence["metrics"]
    return metric


# instances


def test_no_more_series_are_counted_than_there_are_instances():
    made = journal(policy(), wanted=2)
    made.samples(90, 90, 90)
    assert (last(made)["instances"], scales(made.decisions)) == (2, [(2, 3)])


def test_where_more_report_than_there_are_the_newest_count():
    made = journal(scale(pods()), wanted=1)
    for host, value in (("a", 90), ("b", 20), ("c", 10)):
        feed(made, [value], host=host)
    made.decisions.clear()
    assert wished(made)["value"] == 10
    feed(made, [10], host="b")
    assert wished(made)["value"] == 10
    assert feed(made, [40], host="a") != []
    assert wished(made)["value"] == 40


def test_an_instance_is_as_new_as_the_newest_of_its_series():
    made = journal(scale(pods()), wanted=1)
    feed(made, [10], host="a", mode="x")
    feed(made, [11], host="a", mode="y")
    feed(made, [90], host="b")
    feed(made, [12], host="a", mode="x")
    assert wished(made)["value"] == 12


def test_samples_of_an_instance_that_is_not_there_any_more_do_not_count():
    made = Journal()
    made.policies(scale(pods()))
    observed(made, 2, each=[InstanceSeen("web-0"), InstanceSeen("web-1")])
    assert scales(made.samples(10, 10, 900, name="jobs")) == []
    assert wished(made)["value"] == 10


def test_instances_of_which_too_little_is_known_count_as_they_should_be_and_do_not_forbid_to_ask_for_fewer():
    made = journal(scale(pods(over="36s", aggregate="rate")), wanted=3)
    for host in "abc":
        feed(made, [0], host=host, after_s=0.1)
    made.at_ms += 4000
    assert scales(feed(made, [0], host="a", after_s=0.1)) == [(3, 2)]


@pytest.mark.parametrize(("metric", "scaled"), [(pods("cpu"), [(2, 4)]), (None, [])])
def test_only_the_cpu_of_a_resource_is_not_believed_while_an_instance_starts(metric, scaled):
    made = Journal()
    made.policies(scale(metric) if metric else policy())
    started = [InstanceSeen(f"web-{n}", started_ms=made.at_ms, ready=False) for n in range(2)]
    observed(made, 2, each=started)
    assert scales(made.samples(20 if metric else 90, 20 if metric else 90, after_s=60)) == scaled


# one number that all share


def test_without_an_observer_a_number_is_shared_by_those_that_report():
    made = Journal()
    made.policies(scale(external(SHARED)))
    made.samples(20, 20, 20, name="jobs")
    decided = made.samples(20, 20, 20, name="jobs", after_s=10)
    assert scales(decided) == [(3, 6)]
    assert (last(made)["value"], last(made)["ratio"]) == (20, 2)


@pytest.mark.parametrize(("running", "wish"), [(0, 3), (1, 3), (2, 2)])
def test_a_number_is_shared_by_the_instances_that_run_also_by_none(running, wish):
    made = journal(scale(external(SHARED)))
    observed(made, 2, running)
    feed(made, [21])
    assert wished(made)["wanted"] == wish


# expressions


def test_an_expression_with_a_value_for_all_asks_by_the_ratio_of_those_that_are_ready():
    made = journal(scale(computed('last("jobs") * 2.0', "{type: Value, value: 10}")), wanted=2)
    assert scales(feed(made, [10])) == [(2, 4)]


def test_an_expression_says_of_how_many_fresh_series_it_is_made_and_not_of_others():
    made = Journal()
    made.policies(scale(computed('last("jobs")')), policy("with-patience", stale="5m", mode="shadow"))
    made.instances(1)
    feed(made, [900], host="old")
    old_ms = made.at_ms
    for host in "ab":
        feed(made, [20], host=host, after_s=20)
    feed(made, [20], "cpu", host="a")
    made.tick(after_s=(old_ms + 60_000 - made.at_ms) / 1000, behind_s=0)
    assert (len(made.state.services["web"].series), wished(made)["instances"], wished(made)["value"]) == (4, 2, 20)


def test_an_expression_may_put_to_sleep_and_wake_and_says_the_whole_where_none_shares_it():
    made = journal(scale(computed('last("jobs") / 2.0', activation=5), least=0), wanted=1)
    (down,) = feed(made, [10])
    assert (down.reason, scales([down])) == ("INACTIVE", [(1, 0)])
    assert last(made)["active_by"] == 5
    made.outcome(down.action)
    (up,) = feed(made, [60])
    assert scales([up]) == [(0, 3)]
    assert (last(made)["value"], last(made)["ratio"]) == (30, None)


def test_an_expression_that_reads_no_series_is_of_none():
    made = journal(scale(computed("replicas() * 20.0")), wanted=2)
    made.tick()
    assert scales(made.decisions) == [(2, 4)]
    assert (last(made)["instances"], made.decisions[-1].evidence["sample_at_ms"]) == (0, 0)


@pytest.mark.parametrize(
    ("expr", "why"),
    [
        ('last("jobs") + last("gone") + last("lost")', "last(gone) cannot be said"),
        ('last("jobs") / (last("jobs") - 40.0)', "the expression gives no finite number"),
    ],
)
def test_why_an_expression_is_unknown_is_said(expr, why):
    made = Journal()
    made.policies(scale(computed(expr)))
    feed(made, [40])
    (refused,) = made.instances(4)
    assert (reasons([refused]), refused.evidence["failed"]) == (["NO_DATA"], [f"{expr}: {why}"])
