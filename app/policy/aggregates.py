"""What the windows of some series come to: a mean, a rate, a quantile. Pure.

Called by `app.policy.answers` for the calls of an expression and by `app.policy.measure` for the
metrics of a Scale. None is unknown: there is no sample of that time, or too few.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from app.policy.columns import LEAST, MOST, TOTALS
from app.policy.windows import Window


def aggregate(function: str, windows: Sequence[Window], from_ms: int) -> float | None:
    """`avg`, `min`, `max`, `sum`, `count` or `rate` of all samples of all series since a moment."""
    match function:
        case "rate":
            return rate(windows, from_ms)
        case "min":
            least = min([value for one in windows for (value,) in one.read_since(LEAST, from_ms)], default=math.inf)
            return None if least == math.inf else least
        case "max":
            most = max([value for one in windows for (value,) in one.read_since(MOST, from_ms)], default=-math.inf)
            return None if most == -math.inf else most
    total, count = 0.0, 0
    for one in windows:
        for samples, added in one.read_since(TOTALS, from_ms):
            total += added
            count += samples
    return {"avg": total / count, "sum": total, "count": float(count)}[function] if count else None


def rate(windows: Sequence[Window], from_ms: int) -> float | None:
    """Increase a second between the newest samples of the buckets, added up; a counter that fell began anew."""
    total, known = 0.0, False
    for one in windows:
        newest = one.newest_since(from_ms)
        if len(newest) < 2:
            continue
        increase = 0.0
        for (_, before), (_, after) in pairwise(newest):
            increase += after - before if after >= before else after
        total += increase * 1000 / (newest[-1][0] - newest[0][0])
        known = True
    return total if known else None


def quantile(windows: Sequence[Window], share: float, from_ms: int) -> float | None:
    """The value below which a share (0 to 1) of all samples of all series since a moment lies.

    Between two samples it is interpolated as Prometheus' `quantile_over_time` does. Exact, but for
    a bucket of more than `windows.MOST_VALUES` samples: there each value that is kept stands for as many as
    are not. The windows must keep values (`windows.Keep`); those that do not are unknown.
    """
    found = [one for window in windows for one in window.values_since(from_ms)]
    if not found:
        return None
    found.sort()
    rank = share * (sum(weight for _, weight in found) - 1)
    low, high = _at(found, math.floor(rank)), _at(found, math.floor(rank) + 1)
    return low + (high - low) * (rank - math.floor(rank))


def _at(found: Sequence[tuple[float, float]], place: int) -> float:
    """The value at a place of sorted values, each of which stands for some."""
    passed = 0.0
    for value, weight in found:
        passed += weight
        if passed > place:
            return value
    return found[-1][0]
