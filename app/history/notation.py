"""Series and values of a timeline in promtool's notation, and the facts that they are. Pure.

Called by `app.history.scenario`.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Final

from pydantic import Field

from app.policy.facts import Samples, Series, Source
from app.policy.model import Strict

_SERIES: Final = re.compile(r"([A-Za-z_:][\w:.]*)(?:\{([^}]*)\})?")
_LABEL: Final = re.compile(r'\s*([A-Za-z_]\w*)\s*=\s*"([^"]*)"\s*(?:,|$)')
_VALUES: Final = re.compile(r"(_|-?[\d.]+(?:[eE][+-]?\d+)?)(?:([+-])([\d.]+(?:[eE][+-]?\d+)?))?(?:x(\d+))?")


class InputSeries(Strict):
    """A series in promtool's notation: `cpu{host="web-1"}` and `50x4 95+1x3 _x2`."""

    series: Annotated[str, Field(description="Name and labels.")]
    values: Annotated[
        str, Field(description="A value an interval: `a+bxn` is a and n more, each b higher; `_` is none.")
    ]


def values_of(text: str) -> Iterator[float | None]:
    """The values of promtool's notation; raises ValueError that names what is none."""
    for word in text.split():
        match = _VALUES.fullmatch(word)
        if match is None:
            raise ValueError(f"{word!r} is no value; write it like 50, 50x4, 50+5x4 or _x3")
        start, sign, step, count = match.groups()
        if start == "_":
            yield from [None] * int(count or 1)
            continue
        by = float(step or 0) * (-1 if sign == "-" else 1)
        yield from (float(start) + by * n for n in range(int(count or 0) + 1))


def series_of(text: str, service: str) -> Series:
    """A series by its notation; raises ValueError."""
    match = _SERIES.fullmatch(text.strip())
    if match is None or (match[2] and _LABEL.sub("", match[2]).strip()):
        raise ValueError(f'{text!r} is no series; write it like cpu{{host="web-1"}}')
    return Series(service, match[1], dict(_LABEL.findall(match[2] or "")))


def pack(found: list[tuple[Series, float | None]], number: int, at_ms: int) -> Samples | None:
    """What was measured at a moment; None if nothing was."""
    there = [(series, value) for series, value in found if value is not None]
    if not there:
        return None
    each = list(range(len(there)))
    source = Source("series", "series", 0, number, number)
    values = [value for _, value in there]
    return Samples(source, [one for one, _ in there], each, [at_ms] * len(each), values, [0] * len(each), each)
