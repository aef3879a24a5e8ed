"""Durations and quantities as people write them: `30s`, `5m`, `1h30m`; `100`, `250m`, `1.5k`."""

import re
from math import ceil
from typing import Annotated, Final

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_UNITS_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SUFFIXES: Final = {
    "": 1.0, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50, "Ei": 2.0**60,
}  # fmt: skip
_QUANTITY: Final = re.compile(rf"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)({'|'.join(filter(None, _SUFFIXES))})?")


LONGEST_S: Final = 10 * 366 * 86_400.0
"""Seconds of the longest duration: ten years."""
LARGEST: Final = 1e100
"""Largest quantity; its milli-units are a float yet."""


def seconds(text: object) -> float:
    """Seconds of `1h30m` and the like; raises ValueError that says what was expected."""
    if isinstance(text, str) and text and not _PART.sub("", text):
        found = sum(float(number) * _UNITS_S[unit] for number, unit in _PART.findall(text))
        if found > LONGEST_S:
            raise ValueError(f"{text[:60]!r} is longer than ten years")
        return found
    raise ValueError(f"{text!r} is no duration; write it like 30s, 5m or 1h30m")


def quantity(text: object) -> float:
    """The number that a Kubernetes quantity stands for (`250m` is 0.25); raises ValueError."""
    if isinstance(text, int | float) and not isinstance(text, bool):
        return _bounded(text)
    match = _QUANTITY.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"{text!r} is no quantity; write it like 100, 250m or 1.5k")
    return _bounded(float(match[1]) * _SUFFIXES[match[2] or ""])


def _bounded(number: float) -> float:
    if not -LARGEST <= number <= LARGEST:
        raise ValueError(f"the quantity is not within {-LARGEST:g} and {LARGEST:g}")
    return float(number)


def milli(number: float) -> int:
    """A number in whole milli-units, rounded up as Kubernetes does, but for what float64 cannot hold exactly."""
    return ceil(round(number * 1000, 6))


Seconds = Annotated[
    float,
    BeforeValidator(seconds),
    PlainSerializer(lambda value: f"{value:g}s"),
    WithJsonSchema({"type": "string", "format": "duration"}),
]
Quantity = Annotated[
    float, BeforeValidator(quantity), WithJsonSchema({"type": ["number", "string"], "format": "quantity"})
]
