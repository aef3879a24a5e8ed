"""Moments that a cron expression names in a time zone. Pure: zones come from the package `tzdata`, not from the system.

`app.policy.schedule` asks, `app.policy.model_schedule` checks what is written. A clock that is put
forward or back is taken as Debian's cron takes it: what falls into the hour that is left out comes at its end,
and what falls into the one that comes twice comes the first time.
"""

from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import lru_cache
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
_FIELDS: Final = 5
_AHEAD_MS: Final = 3 * 3_600_000
"""Looking back begins so far ahead: local times repeat where a clock is put back, by three hours at most."""


def cron(text: str) -> str:
    """A cron expression that names some moment; raises ValueError that says what was expected."""
    expected = "write minute, hour, day of month, month and day of week, like `0 22 * * MON-FRI`"
    if len(text.split()) != _FIELDS:
        raise ValueError(f"{text!r} is no cron expression: {expected}")
    try:
        if next(CronSim(text, datetime(2026, 1, 1)), None) is None:  # noqa: DTZ001 - any zone's calendar will do
            raise ValueError(f"{text!r} names no day that ever comes")
    except CronSimError as error:
        raise ValueError(f"{text!r} is no cron expression ({str(error).lower()}): {expected}") from None
    return text


def zone_name(text: str) -> str:
    """The name of a time zone; raises ValueError that says what was expected."""
    if text not in _names():
        near = get_close_matches(text, sorted(_names()), 1)
        hint = f"did you mean {near[0]}?" if near else "write it like Europe/Berlin or UTC"
        raise ValueError(f"{text!r} is no time zone; {hint}")
    return text


def last_ms(expression: str, zone: str, now_ms: int) -> int | None:
    """The last moment at or before `now_ms` that an expression names; None: there was none in fifty years."""
    back = CronSim(expression, _local(now_ms + _AHEAD_MS, zone), reverse=True)
    return next((at_ms for one in back if (at_ms := _ms(one)) <= now_ms), None)


def next_ms(expression: str, zone: str, now_ms: int) -> int | None:
    """The first moment after `now_ms` that an expression names; None: there is none in fifty years."""
    on = CronSim(expression, _local(now_ms, zone))
    return next((at_ms for one in on if (at_ms := _ms(one)) > now_ms), None)


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    return frozenset(files("tzdata").joinpath("zones").read_text("utf-8").split())


@lru_cache(maxsize=1000)
def _zone(name: str) -> ZoneInfo:
    with files("tzdata.zoneinfo").joinpath(*name.split("/")).open("rb") as data:
        return ZoneInfo.from_file(data, key=name)


def _local(at_ms: int, zone: str) -> datetime:
    return (_EPOCH + at_ms * _MS).astimezone(_zone(zone))


def _ms(moment: datetime) -> int:
    return (moment - _EPOCH) // _MS
