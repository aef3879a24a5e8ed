"""What a Scale can measure beyond Kubernetes: selectors, aggregates of a window, expressions, activation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.history.explain import explain
from app.history.measured import metric_line
from app.policy.activation import Gate, gated, is_active
from app.policy.columns import TOTALS, VALUES
from app.policy.decision import decode, encode
from app.policy.facts import Samples, Series
from app.policy.files import PolicyError, compiled, load
from app.policy.fold import read_by_policies
from app.policy.measure import wish_of
from app.policy.model_reading import Selector
from app.policy.readings import Question
from app.policy.windows import Keep
from tests.unit.policy.builders import Journal, policy, reasons, scales

HEAD = """
apiVersion: headrace/v1
kind: Scale
metadata: {name: web}
spec:
  service: web
  minReplicas: %(least)s
  maxReplicas: %(most)s
  for: {up: 0s, down: 0s}
  every: 0s
  stale: 1m
  metrics:
"""


def scale(*metrics, least=1, most=20, **more):
    """A Scale policy with these metrics, each in YAML's flow style."""
    text = HEAD % {"least": least, "most": most} + "".join(f"    - {one}\n" for one in metrics)
    more = {"downscaleStabilization": "0s"} | more
    return text + "".join(f"  {name}: {value}\n" for name, value in more.items())


def journal(text, wanted=4):
    made = Journal()
    made.policies(text)
    made.instances(wanted)
    return made


def mistakes(text):
    with pytest.raises(PolicyError) as raised:
        load({"a.yaml": text})
    return str(raised.value)


def feed(made, values, name="jobs", after_s=1.0, **labels):
    """Samples of one series in the order of their times."""
    decided = []
    for value in values:
        at_ms = made.at_ms + round(after_s * 1000)
        pack = Samples(made.source("m"), [Series("web", name, labels)], [0], [at_ms], [float(value)], [0], [0])
        decided += made.add(pack, after_s)
    return decided


def wished(made):
    """The evidence of the first metric as it would be asked for now."""
    spec = compiled(made.state.policies[0]).spec
    service = made.state.services["web"]
    question = Question(made.state, service, spec, service.memories["web"], service.observed.replicas)
    return wish_of(question, spec.metrics[0]).evidence


def external(target="{type: Value, value: 10}", name="jobs", selector="{}", **more):
    words = "".join(f", {key}: {value}" for key, value in more.items())
    return f"{{type: External, external: {{metric: {{name: {name}, selector: {selector}}}, target: {target}}}{words}}}"


def computed(expr, target="{type: AverageValue, averageValue: 10}", **more):
    words = "".join(f", {key}: {value}" for key, value in more.items())
    return f"{{type: Expression, expression: {{expr: '{expr}', target: {target}}}{words}}}"


def lines(one):
    """What `headrace explain` says of the metrics, after the decision was written and read."""
    found = explain(decode(encode(one)), [])
    assert found.differently
    return found.metrics


# selectors


@pytest.mark.parametrize(
    ("expression", "matching"),
    [
        ({"key": "queue", "operator": "In", "values": ["mail", "web"]}, {"mail", "web"}),
        ({"key": "queue", "operator": "NotIn", "values": ["mail"]}, {"web", "x", None}),
        ({"key": "queue", "operator": "Exists"}, {"mail", "web", "x"}),
        ({"key": "queue", "operator": "DoesNotExist"}, {None}),
    ],
)
def test_a_selector_matches_as_kubernetes_does(expression, matching):
    selector = Selector.model_validate({"matchLabels": {"zone": "a"}, "matchExpressions": [expression]})
    found = {
        queue
        for queue in ("mail", "web", "x", None)
        if selector.matches({"zone": "a"} | ({} if queue is None else {"queue": queue}))
    }
    assert found == matching
    assert not selector.matches({"zone": "b", "queue": "mail"})


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("{key: a, operator: In}", "operator In needs at least one of values"),
        ("{key: a, operator: Exists, values: [x]}", "operator Exists needs no values"),
        ("{key: a, operator: Like, values: [x]}", "'In', 'NotIn', 'Exists' or 'DoesNotExist'"),
    ],
)
def test_a_selector_with_a_mistake_is_told(expression, why):
    assert why in mistakes(scale(external(selector=f"{{matchExpressions: [{expression}]}}")))


def test_series_that_a_selector_leaves_out_do_not_count_also_of_a_resource():
    selector = "{matchExpressions: [{key: mode, operator: NotIn, values: [idle]}]}"
    target = "{type: Utilization, averageUtilization: 60}"
    made = journal(scale(f"{{type: Resource, resource: {{name: cpu, selector: {selector}, target: {target}}}}}"), 1)
    feed(made, [5], "cpu", pod="web-0", mode="idle")
    assert scales(feed(made, [90], "cpu", pod="web-0", mode="user")) == [(1, 2)]


def test_a_document_of_kubernetes_takes_none_of_our_words():
    words = "{type: Steps, steps: {metric: {name: a}, ranges: [{to: 1, change: -1}]}}"
    head = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: w}\nspec:\n"
    text = head + "  scaleTargetRef: {name: w}\n  maxReplicas: 3\n  metrics:\n    - "
    assert "'Resource', 'Pods', 'Object' or 'External'" in mistakes(text + words)
    assert "activation" in mistakes(text + external(activation=1))
    target = "{type: Utilization, averageUtilization: 60}"
    with_selector = f"{{type: Resource, resource: {{name: cpu, selector: {{}}, target: {target}}}}}"
    assert "selector" in mistakes(text + with_selector)
    assert load({"a.yaml": text + external(selector="{matchExpressions: [{key: a, operator: Exists}]}")})


# aggregates


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ({"aggregate": "last"}, 50.0),
        ({"aggregate": "quantile", "quantile": 0.5}, 80.0),
        ({"aggregate": "quantile", "quantile": 1}, 120.0),
        ({"aggregate": "mean"}, 75.0),
    ],
)
def test_a_series_counts_by_what_its_window_comes_to(words, value):
    made = journal(scale(external(over="20s", **words)))
    feed(made, [500])
    made.at_ms += 30_000
    feed(made, [20, 120, 110, 50])
    assert wished(made)["value"] == value
    assert "over 20s" in metric_line(wished(made))


def test_a_counter_counts_by_its_rate_and_one_that_fell_began_anew():
    made = journal(scale(external("{type: AverageValue, averageValue: 10}", over="36s", aggregate="rate")), wanted=1)
    for value in (*range(0, 400, 40), *range(40, 440, 40)):
        feed(made, [value], after_s=2)
        if value > 40:
            assert wished(made)["value"] == pytest.approx(20)
    assert scales(made.decisions)[0] == (1, 2)


def test_a_series_without_a_rate_yet_lets_the_others_ask_for_more_and_never_for_less():
    metric = external("{type: AverageValue, averageValue: 10}", over="36s", aggregate="rate")
    low = journal(scale(metric), wanted=4)
    feed(low, range(0, 60, 2), host="a", after_s=2)
    assert scales(low.decisions) == [(4, 1)]
    made = journal(scale(metric), wanted=4)
    feed(made, [0, 2], host="a", after_s=2)
    made.decisions.clear()
    made.state.services["web"].pending = None
    decided = feed(made, [9000], host="b", after_s=0.1)
    assert scales(decided) == []
    assert "1 of 2 series of jobs have too few samples" in decided[0].evidence["failed"][0]
    more = journal(scale(metric), wanted=1)
    feed(more, [0, 200], host="a", after_s=2)
    feed(more, [0], host="b", after_s=0.1)
    assert scales(more.decisions) == [(1, 4)]


def test_values_are_kept_only_where_a_quantile_is_asked():
    made = journal(scale(external(over="20s", aggregate="quantile", quantile=0.9), external(name="rps", over="1m")))
    assert read_by_policies(made.state, "web") == {"jobs": Keep(20_000, TOTALS | VALUES), "rps": Keep(60_000, TOTALS)}
    feed(made, [1, 2, 3])
    assert made.state.services["web"].series["jobs"].window.kept
    made.policies(scale(external(over="20s", aggregate="max")))
    window = made.state.services["web"].series["jobs"].window
    assert (len(window.buckets), window.kept) == (3, None)
    made.policies(scale(external(over="30s", aggregate="max")))
    assert made.state.services["web"].series["jobs"].window.buckets == [], "of other buckets it begins anew"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ({"aggregate": "rate"}, "aggregate rate needs over"),
        ({"aggregate": "quantile", "quantile": 0.9}, "aggregate quantile needs over"),
        ({"aggregate": "quantile", "over": "1m"}, "aggregate quantile and quantile, like 0.95, need each other"),
        ({"quantile": 0.9, "over": "1m"}, "need each other"),
        ({"aggregate": "quantile", "quantile": 2, "over": "1m"}, "has to be at most 1"),
    ],
)
def test_words_of_a_window_that_do_not_fit_are_told(words, why):
    assert why in mistakes(scale(external(**words)))


# expressions


def test_an_expression_over_several_metrics_scales_as_an_external_metric_does():
    made = journal(scale(computed('sum("jobs", "1m") / 2.0 + last("extra")')), wanted=1)
    feed(made, [20], "extra")
    decided = feed(made, [40])
    assert scales(decided) == [(1, 4)]
    (metric,) = decided[-1].evidence["metrics"]
    assert metric["values"] == {"sum(jobs, 1m)": 40.0, "last(extra)": 20.0}
    assert decided[-1].evidence["sample_at_ms"] == made.at_ms
    (line,) = lines(decided[-1])
    assert line.startswith('expression sum("jobs", "1m") / 2.0 + last("extra") is 40 (sum(jobs, 1m) is 40.0')


@pytest.mark.parametrize("expr", ['last("jobs") / last("other")', 'last("jobs") / (last("jobs") - 40.0)'])
def test_an_expression_that_is_no_finite_number_is_unknown_and_changes_nothing(expr):
    made = journal(scale(computed(expr)))
    decided = feed(made, [40] * 80)
    assert (scales(decided), reasons(decided)) == ([], ["NO_DATA"])


def test_what_an_expression_reads_is_kept_and_its_windows_too():
    made = journal(scale(computed('avg("jobs", "90s") + last("more")')))
    assert read_by_policies(made.state, "web") == {"jobs": Keep(90_000, TOTALS), "more": Keep()}


@pytest.mark.parametrize(
    ("expr", "why"),
    [
        ('last("jobs") > 1.0', "gives false, and a number is needed"),
        ('last("jobs") / 2', "write 2.0 and not 2"),
        ("jobs + 1.0", "jobs is not known"),
        ("1.0" + " + 1.0" * 400, "at most 1024"),
    ],
)
def test_an_expression_that_gives_no_number_is_no_policy(expr, why):
    assert why in mistakes(scale(computed(expr)))


def test_an_expression_has_no_window_of_its_own():
    assert "has its windows in its calls" in mistakes(scale(computed('last("a")', over="1m")))


# activation


def test_below_its_activation_a_service_goes_to_nothing_and_above_it_wakes():
    made = journal(scale(external("{type: AverageValue, averageValue: 100}", activation=5), least=0), wanted=2)
    (down,) = feed(made, [5])
    assert (down.reason, scales([down])) == ("INACTIVE", [(2, 0)])
    assert lines(down) == ["jobs averages 2.5 over 1 series; target 100, ratio 0.025, so 1 replica; active above 5"]
    asleep = made.outcome(down.action) + feed(made, [5, 4, 3])
    assert (scales(asleep), reasons(asleep)) == ([], ["INACTIVE"])
    (up,) = feed(made, [6])
    assert scales([up]) == [(0, 1)]
    assert lines(up)[0].startswith("jobs is 6 in all over 1 series; target 100, no instance to share it, so 1")


def test_while_one_metric_is_active_the_largest_wish_counts_and_an_unknown_one_neither_wakes_nor_puts_to_sleep():
    both = (external("{type: AverageValue, averageValue: 10}", activation=5), external(name="lag", activation=5))
    made = journal(scale(*both, least=0), wanted=3)
    assert scales(feed(made, [2])) == [], "of the other nothing is known"
    assert made.decisions[-1].reason == "NO_DATA"
    (down,) = feed(made, [1], "lag")
    assert scales([down]) == [(3, 0)]
    made.outcome(down.action)
    assert scales(feed(made, [8, 7], "lag")) == [(0, 1)]


def test_what_wakes_is_the_activation_and_not_another_metric_and_unknown_wakes_nobody():
    made = journal(scale(external(activation=5), external(name="rps"), least=0), wanted=1)
    feed(made, [0], "rps")
    (down,) = feed(made, [0])
    made.outcome(down.action)
    assert scales(feed(made, [900], "rps")) == []
    stale = [one for _ in range(3) for one in feed(made, [900], "rps", 30) + made.tick(after_s=1, behind_s=0)]
    assert (scales(stale), reasons(stale)) == ([], ["NO_DATA"])


def test_an_activation_where_it_can_do_nothing_is_told():
    assert "activation needs minReplicas 0" in mistakes(scale(external(activation=1)))
    cpu = "{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 9}}, activation: 1}"
    assert "activation goes with" in mistakes(scale(cpu, external(), least=0))


GATES = st.lists(st.builds(Gate, st.floats(0, 10), st.none() | st.floats(0, 20)), min_size=1, max_size=4)


@given(GATES, st.integers(0, 9), st.integers(0, 9))
def test_activation_never_puts_to_sleep_or_wakes_on_what_is_unknown(gates, wanted, current):
    active = is_active(gates)
    found = gated(wanted, current, active=active)
    if any(one.seen is None for one in gates) and not active:
        assert found == (wanted if current else 0)
    assert (found >= 1) if active else (found in {0, wanted})


def test_a_plain_policy_has_the_evidence_it_had():
    made = journal(policy(), wanted=1)
    (one,) = made.samples(90)
    assert list(one.evidence["metrics"][0]) == ["name", "value", "target", "ratio", "instances", "wanted"]
    assert not {"active", "unknown"} & one.evidence.keys()
