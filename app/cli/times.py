"""Times on the command line: ISO 8601, `now`, or how long ago, like `-1h` or `-7d`.

Used by every command that takes a time. A time without a zone is UTC, as all of Headrace's are.
"""

from datetime import UTC, datetime
from time import time_ns

import typer

from app.policy.durations import seconds

HELP = "ISO 8601 (UTC where no zone is given), `now`, or how long ago: -1h, -30m, -7d."


def now_ms() -> int:
    """The clock of this machine, in milliseconds since the epoch."""
    return time_ns() // 1_000_000


def at_ms(text: str, *, now: int | None = None) -> int:
    """The moment that a text names, in milliseconds since the epoch; wrong usage if it names none."""
    current = now_ms() if now is None else now
    if text == "now":
        return current
    try:
        if text.startswith("-"):
            return current - round(seconds(text[1:]) * 1000)
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no time; write {HELP}") from error
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def optional_ms(text: str | None) -> int | None:
    """The same, for an option that may be left out."""
    return None if text is None else at_ms(text)


def duration_ms(text: str) -> int:
    """Milliseconds of `30m` and the like; wrong usage if it is none."""
    try:
        return round(seconds(text) * 1000)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
