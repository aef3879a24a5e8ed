"""Timestamps as agents write them: seconds, milli-, micro- or nanoseconds since the epoch, or ISO 8601.

`fields` calls it. It reads no clock.
"""

from datetime import UTC, datetime
from typing import Final

from app.wire.rules import UnreadableError

SECONDS: Final = 100_000_000_000
"""Largest number that is taken for seconds."""


def milliseconds(value: object) -> int:
    """Milliseconds since the epoch of a timestamp; numbers are told apart by their size.

    Up to 1e11 is seconds (the year 5138), up to 1e14 milliseconds, up to 1e17 microseconds,
    else nanoseconds. A text without a zone is UTC. Raises UnreadableError.
    """
    if type(value) is int and 0 < value <= SECONDS:  # nearly all
        return value * 1000
    if isinstance(value, str):
        return _of_text(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e20:
        raise UnreadableError(f"the time {value!r} is neither a number above 0 nor ISO 8601")
    if value <= SECONDS:
        return round(value * 1000)
    if value <= 1e14:
        return round(value)
    return int(value) // (1000 if value <= 1e17 else 1_000_000)


def _of_text(value: str) -> int:
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        raise UnreadableError(f"the time {value!r} is not ISO 8601") from None
    try:
        found = round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
    except OverflowError:
        raise UnreadableError(f"the time {value!r} is out of range") from None
    if found < 0:
        raise UnreadableError(f"the time {value!r} is before 1970")
    return found
