"""What one metric asks for, where instances are missing or too many."""

import pytest

from app.policy.files import compiled, load
from app.policy.scale import wish_of
from app.policy.state import Series
from tests.unit.policy.builders import policy

CPU = compiled(load({"a.yaml": policy(target=60)})[0]).spec.metrics[0]
PODS_TEXT = policy().replace(
    "- type: Resource\n      resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}",
    "- type: Pods\n      pods: {metric: {name: rps}, target: {type: AverageValue, averageValue: 60}}",
)
RPS = compiled(load({"a.yaml": PODS_TEXT})[0]).spec.metrics[0]


def wanted(values, current, metric=CPU):
    return wish_of(metric, [Series("x", 1, value) for value in values], current, 0.1).wanted


@pytest.mark.parametrize(
    ("values", "current", "metric", "found", "why"),
    [
        ([90, 90], 2, CPU, 3, "all report"),
        ([90, 90], 4, CPU, 4, "the missing at 0 turn the wish round: stay"),
        ([180, 180], 3, CPU, 6, "the missing one at 0: (360 + 0) / 3 / 60 = 2"),
        ([10, 10], 4, CPU, 4, "the missing ones at 100 %: (20 + 200) / 4 / 60 = 0.92, within tolerance"),
        ([10, 10, 10, 10, 10], 6, CPU, 3, "the missing one at 100 %: 150 / 6 / 60 of 6 is 2.5"),
        ([10, 10], 4, RPS, 3, "the missing ones at the target: (20 + 120) / 4 / 60 of 4 is 2.33"),
        ([20], 3, CPU, 3, "the missing ones at 100 % turn the wish round: stay"),
    ],
)
def test_missing_instances_make_the_change_smaller(values, current, metric, found, why):
    assert wanted(values, current, metric) == found, why


def test_a_series_of_an_instance_that_was_taken_away_does_not_count():
    old, new = Series("x", 1, 300.0), Series("x", 2, 60.0)
    assert wish_of(CPU, [old, new], 1, 0.1).wanted == 1


def test_rounding_is_that_of_float64():
    assert wanted([62.0] * 30, 30) == 30  # within tolerance
    spec = compiled(load({"a.yaml": policy(target=60).replace("\n  every", "\n  tolerance: 0\n  every")})[0]).spec
    assert wish_of(spec.metrics[0], [Series("x", 1, 62.0)] * 30, 30, spec.tolerance).wanted == 32


def test_a_metric_without_series_asks_for_nothing():
    assert wish_of(CPU, [], 3, 0.1) is None
