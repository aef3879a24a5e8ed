"""Expressions of alerts: CEL over the windows of a service, https://cel.dev. Pure.

`avg`, `min`, `max`, `sum`, `count`, `rate` take a metric and a window, `last` and `absent` a metric,
`replicas` nothing. All numbers are doubles. What cannot be said, because data are missing or a term
fails, is unknown: None, and never true or false. Names and windows are literals, so that it is
known beforehand what has to be kept.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

import cel

from app.policy.durations import seconds
from app.policy.replicas import LARGEST

LONGEST: Final = 1024
"""Characters of the longest expression: far longer ones could exhaust the stack of the parser."""
LONGEST_S: Final = 3600.0
"""Longest window."""

WINDOWED: Final = frozenset({"avg", "min", "max", "sum", "count", "rate"})
PLAIN: Final = frozenset({"last", "absent"})

_CALL: Final = re.compile(r"\b([a-z]+)\s*\(\s*(?:\"([^\"\\]*)\"\s*(?:,\s*\"([^\"\\]*)\"\s*)?)?\)")
_OPERATORS: Final = re.compile(r"[!@_]|^has$")

Ask = Callable[[str, str, int], float | bool | None]
"""Answers (function, metric, window in ms); None is unknown."""


class Expression:
    """A compiled expression; raises ValueError that says what is wrong with it."""

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST:
            raise ValueError(f"the expression has {len(text)} characters, and at most {LONGEST} are taken")
        try:
            self._program = cel.compile(text)
        except ValueError as error:
            raise ValueError(" ".join(str(error).split())) from None
        self.reads = _reads(text)
        self._check()
        self._ask: Ask = lambda *_: None
        self._values: dict[str, float | bool | None] = {}
        self._context = cel.Context()
        for name in (*WINDOWED, *PLAIN, "replicas"):
            self._context.add_function(name, self._function(name))

    def evaluate(self, ask: Ask) -> tuple[bool | None, dict[str, float | bool | None]]:
        """True, False or None for unknown, and what each call came to, in the order in which they were made."""
        self._ask, self._values = ask, {}
        try:
            found = self._program.execute(self._context)
        except (RuntimeError, TypeError, KeyError, ValueError, OverflowError):
            found = None
        return (found if isinstance(found, bool) else None), self._values

    def _function(self, name: str) -> Callable[..., Any]:
        """A function of the expression; made once, since that costs more than an evaluation."""

        def answer(*words: str) -> float | bool | None:
            metric, window = (*words, "", "")[:2]
            found = self._ask(name, metric, _window_ms(window))
            self._values[f"{name}({', '.join(filter(None, words))})"] = found
            return found

        return answer

    def _check(self) -> None:
        used = {name for name in self._program.functions() if not _OPERATORS.search(name)}
        known = WINDOWED | PLAIN | {"replicas"}
        if unknown := used - known - {"double", "int"}:
            raise ValueError(f"{', '.join(sorted(unknown))} is not known; there are {', '.join(sorted(known))}")
        if variables := self._program.variables():
            raise ValueError(
                f'{", ".join(sorted(variables))} is not known; metrics are named in calls, like last("cpu")'
            )
        if used & (WINDOWED | PLAIN) and not self.reads:
            raise ValueError('metrics and windows have to be texts, like avg("cpu", "1m")')


def _reads(text: str) -> Mapping[str, int]:
    """Metric → longest window in milliseconds that the expression asks of it; raises ValueError."""
    found: dict[str, int] = {}
    for function, metric, window in _CALL.findall(text):
        if function in WINDOWED and not (metric and window):
            raise ValueError(f'{function} takes a metric and a window, like {function}("cpu", "1m")')
        if function in PLAIN and (not metric or window):
            raise ValueError(f'{function} takes a metric, like {function}("cpu")')
        if function in WINDOWED | PLAIN:
            found[metric] = max(found.get(metric, 0), _window_ms(window))
    return found


def _window_ms(text: str) -> int:
    if not text:
        return 0
    window_s = seconds(text)
    if not 0 < window_s <= LONGEST_S:
        raise ValueError(f"a window of {text} is not within 1 ms and {LONGEST_S:g} s")
    return min(round(window_s * 1000), LARGEST)


@lru_cache(maxsize=1000)
def compiled(text: str) -> Expression:
    """The expression in a text, compiled once in each process."""
    return Expression(text)
