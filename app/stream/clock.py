"""Kafka's clock, as its answers to writes tell of it: an app on a machine with a wrong clock tells the time by it."""

import time
from typing import Final

_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Goes on steadily, also while the machine sleeps, whatever the time is set to."""


class Clock:
    """The time of the brokers; `heard` says whether it is known."""

    def __init__(self) -> None:
        self._ahead_ms = 0
        self.heard = False

    def hear(self, at_ms: int) -> None:
        """Take the time at which a broker has just written a record."""
        self._ahead_ms, self.heard = at_ms - _steady_ms(), True

    def now_ms(self) -> int:
        """Milliseconds since the epoch, by the newest answer and what passed since; raises ValueError before one."""
        if not self.heard:
            raise ValueError("no write to the journal was answered yet, so Kafka's time is not known")
        return self._ahead_ms + _steady_ms()


def _steady_ms() -> int:
    return time.clock_gettime_ns(_CLOCK) // 1_000_000
