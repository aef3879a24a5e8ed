"""Samples, expressions and commands that would stop an engine: each costs itself only, and its service at most."""

import pytest

from app.policy.expression import Expression
from app.policy.files import PolicyError, load
from app.policy.state import pack, unpack
from tests.unit.policy.builders import Journal, policy, reasons, scales
from tests.unit.policy.rollouts import rollout

SHARED = """
apiVersion: headrace/v1
kind: Scale
metadata: {name: shared}
spec:
  service: web
  minReplicas: 1
  maxReplicas: 10
  metrics:
    - %s
"""
ALERT = """
apiVersion: headrace/v1
kind: Alert
metadata: {name: hot}
spec: {service: web, expr: '%s'}
"""
HUGE = {
    "utilization": policy(),
    "value": SHARED % "{type: External, external: {metric: {name: cpu}, target: {type: Value, value: 5}}}",
    "average": SHARED
    % "{type: External, external: {metric: {name: cpu}, target: {type: AverageValue, averageValue: 5}}}",
    "backlog": SHARED % "{type: Backlog, backlog: {metric: {name: cpu}, deadline: 5m, perReplica: 5}}",
    "expression": SHARED
    % """{type: Expression, expression: {name: x, expr: 'last("cpu") * 1e200', target: {type: Value, value: 5}}}""",
}  # fmt: skip


@pytest.mark.parametrize("value", [1e110, -1e110, 1e306, 1.7e308, -1.7e308, 5e-324])
@pytest.mark.parametrize("text", HUGE.values(), ids=HUGE)
def test_a_number_too_large_to_reckon_with_stops_no_engine(text, value):
    made = Journal()
    made.policies(text, ALERT % 'sum("cpu", "1m") > 1.0 && rate("cpu", "1m") > 0.0')
    made.instances(2)
    for _ in range(3):
        made.samples(value, value, after_s=5)
    assert pack(unpack(pack(made.state))) == pack(made.state)
    made.bytes()
    downs = [one for one in scales(made.decisions) if one[1] < one[0]]
    assert not downs or value < 1, "what is too large to reckon with lowers nothing"


@pytest.mark.parametrize(
    "text",
    [
        '10 % int(last("cpu")) > 1', 'double(10 / int(last("cpu"))) > 1.0', '[true, false][int(last("cpu")) - 1]',
        '{1: true}[int(last("cpu"))]', "1 % 0 > 1",
    ],
)  # fmt: skip
def test_a_term_that_fails_is_unknown_however_it_fails(text):
    assert Expression(text).evaluate(lambda _: 0.0)[0] is None


def test_an_alert_that_fails_at_some_values_is_unknown_then():
    made = Journal()
    made.policies(ALERT % '10 % int(last("cpu")) == 1')
    made.samples(3)
    assert reasons(made.decisions)[-1] == "ALERT_FIRING"
    assert reasons(made.samples(0, after_s=1)) == ["ALERT_UNKNOWN"]


def nested(depth):
    text = "true"
    for n in range(depth):
        text = f"[{','.join('1' * 40)}].all(x{n}, {text})"
    return text


@pytest.mark.parametrize(
    "text",
    ["[1.0].all(x, true)", "[1.0].map(x, 1.0) == [1.0]", "[1] . exists_one(x, true)", nested(9), '"a".contains("a")'],
)
def test_an_expression_calls_functions_and_no_methods_so_that_its_cost_is_bounded_by_its_length(text):
    with pytest.raises(PolicyError, match="there are absent, avg, count"):
        load({"a.yaml": (ALERT % "{}").replace("'{}'", repr(text))})


SAYS = policy().rstrip() + "\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (SAYS.replace("maxReplicas: 10", f"maxReplicas: {10**30}"), "spec.maxReplicas: 1000.* is larger than any"),
        (SAYS.replace("every: 0s", f"every: {'9' * 400}s"), "spec.every: .* is longer than ten years"),
        (SAYS.replace("stale: 5m", f"stale: {'9' * 30}h"), "spec.stale: .* is longer than ten years"),
        (HUGE["value"].replace("value: 5", "value: 1e400"), "value: the quantity is not within"),
        (HUGE["value"].replace("value: 5", f"value: {10**400}"), "value: the quantity is not within"),
        (SAYS.replace("maxReplicas: 10", f"maxReplicas: {'9' * 5000}"), "has a value that cannot be read"),
        (SAYS.replace("name: web}", "name: web, labels: {since: 2024-13-45}}"), "has a value that cannot be read"),
        (SAYS.replace("kind: Scale", "kind: [Scale]"), r"kind: is \['Scale'\], not Scale"),
    ],
)
def test_a_number_that_no_state_could_hold_is_refused_where_it_is_written(text, why):
    with pytest.raises(PolicyError, match=why) as caught:
        load({"a.yaml": text})
    assert len(caught.value.problems) == 1


def test_of_a_list_with_one_mistake_in_it_that_one_is_told_and_not_that_it_is_empty():
    with pytest.raises(PolicyError) as caught:
        load({"a.yaml": rollout("""{sli: x, expr: 'last("x")', pass: ["=<10"]}""")})
    assert [one.message for one in caught.value.problems] == [
        "'=<10' is no criterion; write it like <600, <=+10% or >=-5"
    ]
