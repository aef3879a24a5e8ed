"""How long a fetch may wait at the broker: not at all at rest, a moment while small records pour in.

Each arriving record costs a fetch, a hop between threads and a turn of the loop. Above a rate the
broker is asked to hold the answer for a few milliseconds, so that one fetch brings many. The wait
is before the fetch, at the broker: what has arrived is never held back.
"""

from collections.abc import Callable
from time import monotonic
from typing import Any, Final

MANY: Final = 800
"""Records a second from which on it is worth to gather; below half of it no more."""

WAIT_MS: Final = 5
"""Longest that the broker holds an answer back then."""

BYTES: Final = 64_000
"""An answer of this size is not held back: whoever is behind reads at full speed."""

WINDOW_S: Final = 0.5


class Gather:
    """Sets aiokafka's fetcher by the rate of the records that it brings."""

    def __init__(self, fetcher: Any, clock: Callable[[], float] = monotonic) -> None:
        self._fetcher = fetcher
        self._clock = clock
        self._alone = (fetcher._fetch_min_bytes, fetcher._fetch_max_wait_ms)  # noqa: SLF001
        self._began = clock()
        self._records = 0
        self.on = False
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
        wanted = rate >= (MANY / 2 if self.on else MANY)
        if wanted != self.on:
            self.on = wanted
            self.times += wanted
            least, wait_ms = (BYTES, WAIT_MS) if wanted else self._alone
            self._fetcher._fetch_min_bytes, self._fetcher._fetch_max_wait_ms = least, wait_ms  # noqa: SLF001
