"""The limits of a Scale policy at a moment: its own, or those of the schedules whose windows are open then. Pure.

Called by `app.policy.look`. A window begins with its start and is over at its end, so that windows that meet
leave no moment between them; where a start and an end fall together, the start counts.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from app.policy.autoscale import Limits
from app.policy.calendars import last_ms, next_ms
from app.policy.model_schedule import Schedule

DAY_MS: Final = 86_400_000
ALWAYS: Final = 1 << 62


class Bounds(NamedTuple):
    """The limits that hold from one moment until another; `evidence` is empty where no window is open."""

    limits: Limits
    names: tuple[str, ...]
    evidence: dict[str, Any]
    from_ms: int
    until_ms: int

    def told(self) -> str:
        """Whose limits they are, for a sentence; empty for the policy's own."""
        return f" (schedule {', '.join(self.names)})" if self.names else ""


class Window(NamedTuple):
    """A schedule at a moment: when its window opened and closes, or -1 where none is open; and for how long so."""

    schedule: Schedule
    opened_ms: int
    closes_ms: int
    from_ms: int
    until_ms: int


class Calendar:
    """The schedules of one policy. What was found is kept until it changes, and is found again for any other moment."""

    def __init__(self, schedules: Sequence[Schedule], limits: Limits) -> None:
        self._schedules, self._limits = schedules, limits
        self._known = Bounds(limits, (), {}, -ALWAYS, -ALWAYS if schedules else ALWAYS)

    def at(self, now_ms: int) -> Bounds:
        """The limits at a moment."""
        known = self._known
        if not known.from_ms <= now_ms < known.until_ms:
            known = self._known = self._found(now_ms)
        return known

    def _found(self, now_ms: int) -> Bounds:
        """Of windows that overlap the highest minimum and the lowest maximum; the minimum wins over that."""
        windows = [window_at(one, now_ms) for one in self._schedules]
        opened = [one for one in windows if one.opened_ms >= 0]
        leasts = [one.schedule.minReplicas for one in opened if one.schedule.minReplicas is not None]
        mosts = [one.schedule.maxReplicas for one in opened if one.schedule.maxReplicas is not None]
        least, most = max(leasts, default=self._limits.least), min(mosts, default=self._limits.most)
        limits = msgspec.structs.replace(self._limits, least=least, most=max(least, most))
        return Bounds(
            limits,
            tuple(one.schedule.name for one in opened),
            _evidence(limits, opened),
            max(one.from_ms for one in windows),
            min(one.until_ms for one in windows),
        )


def window_at(schedule: Schedule, now_ms: int) -> Window:
    """Whether a schedule's window is open, and from when until when that is so."""
    zone = schedule.timezone
    started = last_ms(schedule.start, zone, now_ms)
    changes = [next_ms(schedule.start, zone, now_ms) or now_ms + DAY_MS]
    if schedule.end is None:
        assert schedule.duration_s is not None
        closes = -1 if started is None else started + round(1000 * schedule.duration_s)
        since = started if now_ms < closes else closes
        is_open = now_ms < closes
    else:
        ended = last_ms(schedule.end, zone, now_ms)
        closes = next_ms(schedule.end, zone, now_ms) or now_ms + DAY_MS
        since = max((one for one in (started, ended) if one is not None), default=None)
        is_open = started is not None and (ended is None or started >= ended)
    if closes > now_ms:
        changes.append(closes)
    opened = started if is_open and started is not None else -1
    return Window(schedule, opened, closes if is_open else -1, now_ms if since is None else since, min(changes))


def _evidence(limits: Limits, opened: list[Window]) -> dict[str, Any]:
    if not opened:
        return {}
    windows = [
        {"name": one.schedule.name, "from_ms": one.opened_ms, "until_ms": one.closes_ms}
        | {
            field: value
            for field in ("minReplicas", "maxReplicas")
            if (value := getattr(one.schedule, field)) is not None
        }
        for one in opened
    ]
    return {"minReplicas": limits.least, "maxReplicas": limits.most, "windows": windows}
