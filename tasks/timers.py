"""Timers that are over are forgotten: Celery keeps each time limit until it would have been due.

Of an action that took a moment that is a quarter of an hour: 0.4 kB each, at a thousand actions a second 400 MB.
A step of `tasks.consumer`.
"""

from heapq import heapify
from typing import Any, ClassVar, Final

from celery import bootsteps

SWEEP_S: Final = 10.0
"""Seconds between two sweeps."""


class Sweep(bootsteps.StartStopStep):
    """Sweeps while there is a connection."""

    requires: ClassVar[tuple[str, ...]] = ("celery.worker.consumer.connection:Connection",)

    def start(self, c: Any) -> None:
        """Begin."""
        self._timer = c.timer.call_repeatedly(SWEEP_S, sweep, (c.timer,))

    def stop(self, _: Any) -> None:
        """End."""
        self._timer.cancel()


def sweep(timer: Any) -> None:
    """Take out of a timer's heap what was cancelled."""
    heap = timer._queue  # noqa: SLF001 - kombu's own way to it gives a copy
    heap[:] = [one for one in heap if not one.entry.canceled]
    heapify(heap)
