"""How long a fetch may wait at the broker: not at all at rest, longer while records pour in.

Each arriving record costs a fetch, a hop between threads and a turn of the loop: a millisecond of CPU, whether it
brings one record or a thousand. Above a rate the broker is asked to hold the answer for some milliseconds, so that
one fetch brings many. The wait is before the fetch, at the broker: what has arrived is never held back.
"""

from collections.abc import Callable
from time import monotonic
from typing import Any, Final, NamedTuple


class Step(NamedTuple):
    """From `rate` records a second on, an answer waits up to `wait_ms`, but not with more than `size` bytes in it:
    whoever is behind reads at full speed.
    """

    rate: float
    wait_ms: int
    size: int


STEPS: Final = (Step(800, 5, 64_000), Step(10_000, 25, 1_000_000))

WINDOW_S: Final = 0.2
"""Over so many seconds the rate is taken."""


class Gather:
    """Sets aiokafka's fetcher by the rate of the records that it brings."""

    def __init__(self, fetcher: Any, clock: Callable[[], float] = monotonic) -> None:
        self._fetcher = fetcher
        self._clock = clock
        rest = Step(0, fetcher._fetch_max_wait_ms, fetcher._fetch_min_bytes)  # noqa: SLF001
        self._steps = (rest, *STEPS)
        self._began = clock()
        self._records = 0
        self._now = 0
        self.times = 0
        """How often gathering began."""

    def see(self, records: int) -> None:
        """So many records were taken."""
        self._records += records
        passed = self._clock() - self._began
        if passed < WINDOW_S:
            return
        rate = self._records / passed
        self._began, self._records = self._clock(), 0
        wanted = max(place for place, step in enumerate(self._steps) if rate >= step.rate)
        if wanted < self._now and rate >= self._steps[self._now].rate / 2:
            return  # a rate about a border does not go to and fro
        self.times += not self._now and wanted > 0
        self._now = wanted
        self._fetcher._fetch_max_wait_ms = self._steps[wanted].wait_ms  # noqa: SLF001
        self._fetcher._fetch_min_bytes = self._steps[wanted].size  # noqa: SLF001
