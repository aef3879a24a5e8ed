"""What the calls of an alert's expression come to: functions over the series of a service. Pure.

Called by `app.policy.alert`. What there are no fresh samples for is unknown, None, never a number.
"""

from dataclasses import dataclass
from itertools import pairwise

from app.policy.look import replicas_of
from app.policy.state import Series, Service, State


@dataclass(frozen=True)
class Answers:
    """Answers the calls of an expression about one service."""

    state: State
    service: Service
    stale_ms: int

    def answer(self, function: str, metric: str, window_ms: int) -> float | bool | None:
        """One call, over all series of the metric; None if it cannot be said."""
        if function == "replicas":
            return float(replicas_of(self.service))
        from_ms = self.state.read_until_ms - self.stale_ms
        fresh = [one for one in self.service.series.values() if one.name == metric and one.at_ms > from_ms]
        if function == "absent":
            return not fresh
        if not fresh:
            return None
        if function == "last":
            return sum(one.value for one in fresh) / len(fresh)
        return _over(function, fresh, self.state.now_ms - window_ms)


def _over(function: str, series: list[Series], from_ms: int) -> float | None:
    """A function over the window of all series."""
    found = [bucket for one in series if one.window is not None for bucket in one.window.since(from_ms)]
    if not found:
        return None
    if function == "rate":
        return _rate(series, from_ms)
    total, count = sum(one.sum for one in found), float(sum(one.count for one in found))
    least, most = min(one.least for one in found), max(one.most for one in found)
    return {"avg": total / count, "min": least, "max": most, "sum": total, "count": count}[function]


def _rate(series: list[Series], from_ms: int) -> float | None:
    """Increase a second between the newest samples of the buckets, added up; a counter that fell began anew."""
    total, known = 0.0, False
    for one in series:
        buckets = one.window.since(from_ms) if one.window is not None else []
        if one.window is None or len(buckets) < 2:
            continue
        increase = 0.0
        for before, after in pairwise(buckets):
            increase += after.last - before.last if after.last >= before.last else after.last
        total += increase * 1000 / (one.window.moment(buckets[-1]) - one.window.moment(buckets[0]))
        known = True
    return total if known else None
