"""Criteria of an objective, as Keptn writes them: `<600`, `<=+10%`, `>=-5`. Pure arithmetic, nothing remembered.

Called by `app.policy.model_rollout`, which refuses what is none, and by `app.policy.judgement`. A criterion
with a sign is compared with the baseline; without a baseline it is unknown, None, and neither holds nor fails.
"""

import operator
import re
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

_CRITERION: Final = re.compile(r"(<=|>=|<|>|=)\s*([+-]?)(\d+(?:\.\d+)?|\.\d+)\s*(%?)")
_COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq,
}  # fmt: skip


class Criterion(NamedTuple):
    """One bound. `sign` is 0 for one that needs no baseline; `percent`: the number is a share of the baseline."""

    text: str
    comparison: str
    sign: int
    number: float
    percent: bool

    def bound(self, baseline: float | None) -> float | None:
        """What a value is compared with; None where that takes a baseline that is unknown.

        A share is of the baseline's size, so that `+10%` is above a negative baseline as well.
        """
        if not self.sign:
            return self.number
        if baseline is None:
            return None
        return baseline + self.sign * (abs(baseline) * self.number / 100 if self.percent else self.number)

    def holds(self, value: float, baseline: float | None) -> bool | None:
        """Whether a value keeps it; None is unknown."""
        bound = self.bound(baseline)
        return None if bound is None else _COMPARE[self.comparison](value, bound)


def criterion(text: str) -> Criterion:
    """The criterion in a text; raises ValueError that says what was expected."""
    found = _CRITERION.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no criterion; write it like <600, <=+10% or >=-5")
    comparison, sign, number, percent = found.groups()
    if percent and not sign:
        raise ValueError(f"{text!r}: a percentage is of the baseline, so write +{number}% or -{number}%")
    return Criterion(text, comparison, {"": 0, "+": 1, "-": -1}[sign], float(number), bool(percent))


def every(found: Iterable[bool | None]) -> bool | None:
    """Whether all hold: false if one is false, whatever is unknown."""
    several = list(found)
    return False if False in several else None if None in several else True


def some(found: Iterable[bool | None]) -> bool | None:
    """Whether one holds: true if one is true, whatever is unknown."""
    several = list(found)
    return True if True in several else None if None in several else False
