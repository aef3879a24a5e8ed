"""Moments, stretches of time and values as people read them. Pure.

Called by whatever of `app.history` and `app.cli` writes sentences or rows.
"""

from collections.abc import Mapping
from datetime import UTC, datetime


def moment(at_ms: float) -> str:
    """A time in UTC with milliseconds."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(" ", "milliseconds").removesuffix("+00:00")


def lasting(ms: float) -> str:
    """A stretch of time by its two largest units: `1h 30m`, `2m 5s`; below a second like `0.25s`."""
    if ms < 1000:
        return f"{ms / 1000:g}s"
    left, said = round(ms / 1000), []
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        many, left = divmod(left, length)
        if many:
            said.append(f"{many}{unit}")
    return " ".join(said[:2])


def plain(value: object) -> str:
    """Any value without brackets: lists with commas, mappings as `name value`; None is unknown."""
    match value:
        case bool():
            return "yes" if value else "no"
        case Mapping():
            return ", ".join(f"{name} {plain(one)}" for name, one in value.items())
        case list() | tuple():
            return ", ".join(map(plain, value))
        case None:
            return "unknown"
        case float():
            return f"{value:.6g}"
    return str(value)


def counted(count: object, noun: str) -> str:
    """A count with its noun: `1 replica`, `2 replicas`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
