"""Expressions of alerts, scaling and objectives: CEL over the windows of a service, https://cel.dev. Pure.

`avg`, `min`, `max`, `sum`, `count`, `rate` take a metric and a window, `quantile` a share between
them, `last` and `absent` a metric, `ratio` two numbers, `replicas` nothing. All numbers are doubles.
What cannot be said, because data are missing or a term fails, is unknown: None, and never true or
false. What is asked for stands in the text, so that it is known beforehand what has to be kept.
"""

import math
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import cel

from app.policy.calls import ARGUMENTS, Call, call_of, calls_of, methods_of, reads_of

LONGEST: Final = 1024
"""Characters of the longest expression: far longer ones could exhaust the stack of the parser."""

KNOWN: Final = frozenset({*ARGUMENTS, "ratio", "replicas"})
"""Names of all functions."""

_OPERATORS: Final = re.compile(r"[!@_]|^has$")
_UNKNOWN: Final = ...
"""What CEL gets where nothing can be said: no value of its own, so the term fails, also where null would be equal."""

Value = float | bool | None
Values = dict[str, Value]
"""What each call came to."""
Ask = Callable[[Call], Value]
"""Answers a call; None is unknown."""


class Expression:
    """A compiled expression; raises ValueError that says what is wrong with it."""

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST:
            raise ValueError(f"the expression has {len(text)} characters, and at most {LONGEST} are taken")
        try:
            self._program = cel.compile(text)
        except ValueError as error:
            raise ValueError(" ".join(str(error).split())) from None
        self._check(text)
        self.reads = reads_of(calls_of(text))
        self._ask: Ask = lambda _: None
        self._values: Values = {}
        self._context = cel.Context()
        for name in KNOWN - {"ratio"}:
            self._context.add_function(name, self._function(name))
        self._context.add_function("ratio", self._ratio)

    def evaluate(self, ask: Ask) -> tuple[bool | None, Values]:
        """True, False or None for unknown, and what each call came to, in the order in which they were made."""
        found = self.result(ask)
        return (found if isinstance(found, bool) else None), self._values

    def number(self, ask: Ask) -> tuple[float | None, Values]:
        """A finite number or None for unknown, and what each call came to."""
        found = _number(self.result(ask))
        return (found if found is not None and math.isfinite(found) else None), self._values

    def result(self, ask: Ask) -> Any:
        """Whatever it gives; None if it fails."""
        self._ask, self._values = ask, {}
        try:
            return self._program.execute(self._context)
        except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError):
            return None

    def _function(self, name: str) -> Callable[..., Any]:
        """A function of the expression; made once, since that costs more than an evaluation."""
        made: dict[tuple[Any, ...], tuple[Call, str]] = {}

        def answer(*words: Any) -> Any:
            known = made.get(words)
            if known is None:
                said = ", ".join(f"{one:g}" if isinstance(one, float) else str(one) for one in words)
                known = made[words] = call_of(name, *words), f"{name}({said})"
            call, label = known
            return self._note(label, self._ask(call))

        return answer

    def _ratio(self, a: Any, b: Any) -> Any:
        """One number as a share of another; of nothing there is none."""
        if not (isinstance(a, int | float) and isinstance(b, int | float)):
            return _UNKNOWN
        return self._note(f"ratio({a:.6g}, {b:.6g})", a / b if b else None)

    def _note(self, label: str, found: Value) -> Any:
        if isinstance(found, float) and not math.isfinite(found):
            found = None
        self._values[label] = found
        return _UNKNOWN if found is None else found

    def _check(self, text: str) -> None:
        """Only functions that are known; methods are none, and macros like `all` would make its cost unbounded."""
        used = {name for name in self._program.functions() if not _OPERATORS.search(name)} | methods_of(text)
        if unknown := used - KNOWN - {"double", "int"}:
            raise ValueError(f"{', '.join(sorted(unknown))} is not known; there are {', '.join(sorted(KNOWN))}")
        if variables := self._program.variables():
            raise ValueError(
                f'{", ".join(sorted(variables))} is not known; metrics are named in calls, like last("cpu")'
            )


def gives_a_number(text: str) -> str:
    """The text, if it is an expression that gives a number; raises ValueError that says what is wrong with it.

    It is tried with 1.0 for every call: only so a mixture of types is told from data that are missing.
    """
    found = Expression(text).result(lambda call: False if call.function == "absent" else 1.0)
    if found is None:
        raise ValueError("the expression fails where every call gives 1.0; numbers are doubles, so write 2.0 and not 2")
    if _number(found) is None:
        raise ValueError(f"the expression gives {str(found).lower()}, and a number is needed")
    return text


def _number(found: Any) -> float | None:
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None


@lru_cache(maxsize=1000)
def compiled(text: str) -> Expression:
    """The expression in a text, compiled once in each process."""
    return Expression(text)
