"""The arithmetic of scaling: a wish from metrics, and the stages that weaken it. Pure functions of numbers.

Sources: Kubernetes' HorizontalPodAutoscaler (`replica_calculator.go` for ratios, tolerance and
missing instances; `horizontal.go` for stabilization). Everything in float64 and in plain order,
as there: `ceil(50 * 1.1)` is 56.
"""

from math import ceil
from typing import NamedTuple

from app.policy.model import Metric, ScaleSpec
from app.policy.state import Memory, Series


class Wish(NamedTuple):
    """What one metric asks for. `value` is its average over `instances` series, in the target's unit."""

    name: str
    value: float
    target: float
    ratio: float
    instances: int
    wanted: int


LARGEST = 2**31 - 1
"""Most replicas of a wish: the HorizontalPodAutoscaler's own bound."""


def wish_of(metric: Metric, series: list[Series], current: int, tolerance: float) -> Wish | None:
    """The wish of a metric whose fresh series are given; None if there are none.

    Of more series than replicas the newest count: an instance that was taken away stops
    reporting. Of fewer, the missing ones are taken to be what makes the change smaller (at the
    target, at least 100 %, on the way down; at 0 on the way up), and a wish that changes its
    direction by that is dropped.
    """
    if not series:
        return None
    newest = sorted(series, key=lambda one: -one.at_ms)[: max(current, 1)]
    total = 0.0
    for one in newest:
        total += one.value
    count = len(newest)
    target = metric.target.value
    value = total / count
    ratio = value / target
    if within(ratio, tolerance):
        return Wish(metric.name, value, target, ratio, count, current)
    missing = max(0, current - count)
    if missing:
        utilization = metric.target.type == "Utilization"
        assumed = 0.0 if ratio > 1 else max(100.0, target) if utilization else target
        corrected = (total + assumed * missing) / (count + missing) / target
        if within(corrected, tolerance) or (corrected > 1) != (ratio > 1):
            return Wish(metric.name, value, target, ratio, count, current)
        return Wish(metric.name, value, target, ratio, count, replicas(corrected * current))
    return Wish(metric.name, value, target, ratio, count, replicas(ratio * count))


def replicas(wanted: float) -> int:
    """Whole replicas, rounded up; within what the state, and any scheduler, can hold."""
    return ceil(min(max(wanted, -LARGEST), LARGEST))


def within(ratio: float, tolerance: float) -> bool:
    """Whether a ratio is close enough to 1; both borders are inside."""
    return 1.0 - tolerance <= ratio <= 1.0 + tolerance


def held(spec: ScaleSpec, memory: Memory, wanted: int, current: int, now_ms: int) -> int:
    """`wanted` once it has lasted as long as the policy asks for in its direction, else `current`."""
    if wanted == current:
        memory.wished_since_ms = -1
        return current
    up = wanted > current
    if memory.wished_since_ms < 0 or memory.wished_up != up:
        memory.wished_since_ms, memory.wished_up = now_ms, up
    return wanted if now_ms - memory.wished_since_ms >= spec.hold_ms(up=up) else current


def stabilized(spec: ScaleSpec, memory: Memory, wanted: int, current: int, now_ms: int) -> int:
    """The most cautious of the recommendations within the windows; this one is recorded.

    A recommendation as old as the window does not count any more. The replicas found at first
    are the first recommendation, so that windows act from the start.
    """
    up_from, down_from = now_ms - spec.window_ms(up=True), now_ms - spec.window_ms(up=False)
    if not memory.recommendations:
        memory.recommendations = [(now_ms, current)]
    least = most = wanted
    for at_ms, replicas in memory.recommendations:
        if at_ms > up_from:
            least = min(least, replicas)
        if at_ms > down_from:
            most = max(most, replicas)
    # an older one that a newer one exceeds can never be the most again, and likewise the least: what is
    # kept is bounded by the replicas' range, however long the window
    memory.recommendations = [
        (at_ms, replicas)
        for at_ms, replicas in memory.recommendations
        if (at_ms > down_from and replicas > wanted) or (at_ms > up_from and replicas < wanted)
    ]
    memory.recommendations.append((now_ms, wanted))
    return max(least, current) if current < least else min(most, current)


def clamped(spec: ScaleSpec, wanted: int) -> int:
    """Within the policy's limits."""
    return max(spec.minReplicas, min(spec.maxReplicas, wanted))
