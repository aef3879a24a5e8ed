"""Lines over time, as the charts of the incident page draw them: bounded, and numbered by change. Pure.

`app.gateway.services` fills them. A reader that has seen everything up to a number asks for what
is newer. Old stretches are thinned, never the newest minutes.
"""

from bisect import bisect_left, bisect_right
from typing import Final

FINE_S: Final = 300
"""Seconds of which every point is kept; older ones become one each `COARSE_S`."""

COARSE_S: Final = 10

INSTANCES: Final = 2000
"""Most instances of a metric whose newest value is remembered."""

_FIRST_GAP_MS: Final = 10_000
_LONGEST_GAP_MS: Final = 60_000
_LEAST_HOLD_MS: Final = 2_000


class Line:
    """Points in the order of time: the second since the epoch, the value, the number of the change that set it."""

    def __init__(self) -> None:
        self.at_s: list[int] = []
        self.value: list[float] = []
        self._number: list[int] = []
        self._coarse = 0

    def put(self, at_s: int, value: float, number: int) -> None:
        """Set the point of a second; the newest or a newer one, since the past is not rewritten."""
        if self.at_s and at_s <= self.at_s[-1]:
            if at_s == self.at_s[-1]:
                self.value[-1], self._number[-1] = value, number
            return
        self.at_s.append(at_s)
        self.value.append(value)
        self._number.append(number)

    def after(self, number: int) -> tuple[list[int], list[float]]:
        """Seconds and values of the points that changed after a number."""
        first = bisect_right(self._number, number)
        return self.at_s[first:], self.value[first:]

    def forget(self, from_s: int) -> None:
        """Drop what is older than a second."""
        self._replace(0, bisect_left(self.at_s, from_s), [])

    def keep_last(self, from_s: int) -> None:
        """Drop what is older than a second but for the newest of it: a step goes on until the next one."""
        self._replace(0, max(0, bisect_right(self.at_s, from_s) - 1), [])

    def thin(self, now_s: int) -> None:
        """Put points that are no longer new together, `COARSE_S` seconds in one: their mean, at the last of them."""
        end = bisect_left(self.at_s, (now_s - FINE_S) // COARSE_S * COARSE_S)
        if end <= self._coarse:
            return
        groups: dict[int, list[int]] = {}
        for i in range(self._coarse, end):
            groups.setdefault(self.at_s[i] // COARSE_S, []).append(i)
        points = [
            (self.at_s[of[-1]], sum(self.value[i] for i in of) / len(of), self._number[of[-1]])
            for of in groups.values()
        ]
        self._replace(self._coarse, end, points)
        self._coarse += len(points)

    def _replace(self, start: int, end: int, points: list[tuple[int, float, int]]) -> None:
        self.at_s[start:end] = [at_s for at_s, _, _ in points]
        self.value[start:end] = [value for _, value, _ in points]
        self._number[start:end] = [number for _, _, number in points]
        if start == 0:
            self._coarse = max(0, self._coarse - end)


class Metric:
    """The mean of a metric over the instances that report it, second by second.

    An instance counts with its newest value until it has missed two of its own beats, so that
    agents that report every 15 s and at different seconds give a calm line and not a zigzag.
    """

    def __init__(self) -> None:
        self.line = Line()
        self.shown_since = 0
        self.refused = 0
        self._value: dict[object, float] = {}
        self._at_ms: dict[object, int] = {}
        self._gap_ms: dict[object, int] = {}
        self._open_s = 0
        self._dirty = False

    @property
    def instances(self) -> int:
        """How many instances are remembered."""
        return len(self._value)

    def add(self, instance: object, at_ms: int, value: float, number: int) -> None:
        """One sample. One that is older than the newest of its instance changes nothing."""
        before = self._at_ms.get(instance)
        if before is None:
            if len(self._value) >= INSTANCES:
                self.refused += 1
                return
            self._gap_ms[instance] = _FIRST_GAP_MS
        elif at_ms < before:
            return
        elif at_ms > before:
            self._gap_ms[instance] = min(at_ms - before, _LONGEST_GAP_MS)
        if at_ms // 1000 > self._open_s:
            self.settle(number)
            self._open_s = at_ms // 1000
        self._value[instance], self._at_ms[instance], self._dirty = value, at_ms, True

    def settle(self, number: int) -> None:
        """Set the point of the newest second, if anything was added since it was last set."""
        if not self._dirty:
            return
        self._dirty = False
        start_ms = self._open_s * 1000
        total, count = 0.0, 0
        late: list[object] = []
        for instance, at_ms in self._at_ms.items():
            if at_ms + max(_LEAST_HOLD_MS, 5 * self._gap_ms[instance] // 2) >= start_ms:
                total += self._value[instance]
                count += 1
            else:
                late.append(instance)
        for instance in late:
            del self._value[instance], self._at_ms[instance], self._gap_ms[instance]
        if count:
            self.line.put(self._open_s, float(f"{total / count:.5g}"), number)
