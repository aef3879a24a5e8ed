"""The load of a simulated service over time, and what its instances report; pure.

Called by `app.local.fleet`. Load is counted in percent of one instance: a load of 250 on five
instances is 50 % of CPU each, so a scale-up really cools the service. No clock, no network.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple


class Point(NamedTuple):
    """At `at_s` seconds after the start the load is `load`."""

    at_s: float
    load: float


@dataclass(frozen=True)
class Service:
    """A simulated service: its load goes in straight lines from point to point, and starts again after the last."""

    name: str
    replicas: int
    """Instances at the start."""
    curve: tuple[Point, ...]


WOBBLE: Final = 1.5
"""How far the CPU of one instance goes from the mean, in points of percent."""

BOOT_S: Final = 1.0
"""Seconds from being wanted to serving."""

SERVICES: Final = (
    Service("web", 2, (Point(0, 80), Point(6, 80), Point(12, 420), Point(30, 420), Point(34, 90), Point(60, 80))),
    Service("api", 3, (Point(0, 165), Point(16, 165), Point(20, 330), Point(40, 330), Point(44, 120), Point(60, 165))),
    Service("batch", 1, (Point(0, 30), Point(22, 30), Point(23, 95), Point(25, 95), Point(26, 30), Point(60, 30))),
)
"""The demo's: a rush on the shop, a slower one behind it, and a spike too short to act upon."""


def load(curve: Sequence[Point], at_s: float) -> float:
    """Load at a moment, in percent of one instance."""
    period = curve[-1].at_s
    moment = at_s % period if period else 0.0
    for before, after in pairwise(curve):
        if moment <= after.at_s:
            share = (moment - before.at_s) / (after.at_s - before.at_s)
            return before.load + share * (after.load - before.load)
    return curve[-1].load


def cpu(service: Service, at_s: float, ready: int, instance: int) -> float:
    """CPU in percent that instance number `instance` of `ready` reports; the instances' mean is load / ready."""
    mean = load(service.curve, at_s) / max(1, ready)
    phase = 2 * math.pi * instance / max(1, ready)
    wobble = WOBBLE * math.sin(at_s + phase) if ready > 1 else 0.0
    return round(min(100.0, max(0.0, mean + wobble)), 2)


def hosts(service: str, ready: int) -> list[str]:
    """Names of a service's instances, `web-01` and so on."""
    return [f"{service}-{number:02d}" for number in range(1, ready + 1)]


class Instances:
    """How many instances of a service serve: new ones after `BOOT_S`, fewer at once."""

    def __init__(self, ready: int) -> None:
        """Begin with `ready` instances that serve."""
        self.ready = ready
        self._asked: list[tuple[float, int]] = []

    def want(self, wanted: int, at_s: float) -> int:
        """How many serve at this moment, when so many are wanted."""
        if wanted <= self.ready:
            self.ready = wanted
            self._asked.clear()
        else:
            self._asked = [(since, count) for since, count in self._asked if count <= wanted]
            if not self._asked or self._asked[-1][1] < wanted:
                self._asked.append((at_s, wanted))
            while self._asked and at_s - self._asked[0][0] >= BOOT_S:
                self.ready = self._asked.pop(0)[1]
        return self.ready
