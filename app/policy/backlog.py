"""A backlog and its deadline: the smallest number of workers that has what waits done in time.

Called by `app.policy.measure`. Of W items that wait, with λ more a second and workers that each do μ a
second, n workers leave nothing after D seconds if n·μ·D >= W + λ·D; so n = (W/D + λ) / μ, rounded up.
"""

import math
from functools import lru_cache
from typing import Final, NamedTuple

from app.policy.model_metrics import Metric
from app.policy.model_reading import Flow
from app.policy.readings import Question, Wish, fresh, known, only_up, unknown_of
from app.policy.replicas import whole
from app.policy.state import Memory, Speed

BUSY: Final = 0.1
"""Share of the deadline that what waits must take the workers for their speed to be what they can do."""

SPEEDS: Final = 16
"""Most speeds that a policy remembers."""


class Bounds(NamedTuple):
    """Least and most workers, and the partitions that they share evenly (0: none)."""

    least: int
    most: int
    partitions: int

    def even(self, workers: int) -> int:
        """The smallest number that is enough and shares the partitions evenly; the largest if none is enough."""
        if not self.partitions or max(workers, self.least) == 0:
            return workers
        shares = [one for one in divisors(self.partitions) if one <= self.most]
        return next((one for one in shares if one >= max(workers, self.least)), shares[-1])


def workers(current: int, needed: float, tolerance: float, bounds: Bounds) -> int:
    """Workers for a need of so many: more at once, fewer only if those could do more than is needed by the tolerance.

    The two borders lie apart, so that a need that stays about the same changes nothing.
    """
    enough = bounds.even(_up(needed))
    if enough >= current:
        return enough
    useful = min(current, bounds.partitions or current)
    with_spare = _up(needed / (1 - tolerance)) if tolerance < 1 else current
    spare = bounds.even(with_spare)
    return min(useful, spare) if spare >= with_spare else useful


def wish_of(question: Question, metric: Metric) -> Wish:
    """The workers that a backlog asks for; raises NoMetricError."""
    state, service, spec, _, current = question
    backlog = metric.backlog
    assert backlog is not None
    series = fresh(state, service, metric.reading, spec.stale_ms)
    values = known(series)
    waiting = max(0.0, sum(values))
    inflow, unknown = _inflow(question, backlog.inflow)
    newest_ms = max(one.newest.at_ms for one in series)
    per_replica, source = _per_replica(question, metric, waiting, newest_ms)
    needed = (waiting / backlog.deadline_s + inflow) / per_replica
    bounds = Bounds(spec.minReplicas, spec.maxReplicas, backlog.partitions or 0)
    wanted = workers(current, needed, spec.tolerances.down, bounds)
    evidence = {
        "type": "Backlog", "name": metric.name, "value": waiting, "instances": len(values), "wanted": wanted,
        "deadline_s": backlog.deadline_s, "inflow": inflow, "per_replica": per_replica, "per_replica_is": source,
        "needed": _up(needed), "clears_s": _clears(waiting, wanted * per_replica - inflow),
    }  # fmt: skip
    if bounds.partitions:
        evidence["partitions"] = bounds.partitions
    if unknown := unknown or unknown_of(metric.name, series):
        evidence["unknown"] = unknown
    wish = Wish(wanted, waiting, newest_ms, evidence, bound=wanted < _up(needed))
    return only_up(wish, question, unknown)


def _inflow(question: Question, flow: Flow | None) -> tuple[float, str]:
    """Items that come in a second, at least; and what is unknown of them."""
    if flow is None:
        return 0.0, ""
    series = fresh(question.state, question.service, flow.reading, question.spec.stale_ms)
    found = sum(one.value for one in series if one.value is not None)
    return max(0.0, found), unknown_of(flow.name, series)


def _per_replica(question: Question, metric: Metric, waiting: float, at_ms: int) -> tuple[float, str]:
    """Items a second that a worker does, and who says so; `at_ms` is when what waits was measured last.

    Workers that wait for work do as much as comes in and no more: taking that for what they can do would
    ask for ever more of them. So a speed counts that was measured while much waited, from before its
    window until after it; and it is remembered.
    """
    backlog = metric.backlog
    assert backlog is not None
    flow = backlog.perReplicaMetric
    if flow is None:
        return backlog.perReplica, "given"
    speed = _remembered(question.memory, flow)
    expected = speed.value or backlog.perReplica
    if waiting < BUSY * backlog.deadline_s * expected * max(question.current, 1):
        speed.busy_ms = -1
    elif speed.busy_ms < 0:
        speed.busy_ms = at_ms
    else:
        reading = flow.reading
        found = [
            one.value
            for one in fresh(question.state, question.service, reading, question.spec.stale_ms)
            if one.value is not None and speed.busy_ms <= one.newest.at_ms - reading.over_ms <= at_ms - reading.over_ms
        ]
        if found and sum(found) > 0:
            speed.value = sum(found) / len(found)
            return speed.value, "measured"
    return (speed.value, "measured before") if speed.value else (backlog.perReplica, "given")


def _remembered(memory: Memory, flow: Flow) -> Speed:
    if flow.key not in memory.speeds and len(memory.speeds) >= SPEEDS:
        memory.speeds.clear()  # of metrics that the policy had once
    return memory.speeds.setdefault(flow.key, Speed())


def _clears(waiting: float, spare: float) -> float | None:
    """Seconds in which nothing waits any more; None: never."""
    if not waiting:
        return 0.0
    return round(waiting / spare, 3) if spare > 0 else None


def _up(needed: float) -> int:
    """Whole workers, but for what float64 cannot hold exactly."""
    return whole(round(needed, 9)) if math.isfinite(needed) else whole(needed)


@lru_cache(maxsize=1000)
def divisors(number: int) -> tuple[int, ...]:
    """The divisors of a number, in order."""
    small = [one for one in range(1, math.isqrt(number) + 1) if number % one == 0]
    return tuple(small + [number // one for one in reversed(small) if one * one != number])
