"""A deploy judged by its objectives, as Keptn's quality gates do it: a result each, a score, a verdict. Pure.

Called by `app.policy.rollout` with values and baselines. A weight counts in full for a pass, half for a
warning, not at all for a failure; a key objective that fails fails the whole. An objective whose result
hangs on what is unknown is unknown, and so is the verdict then, whatever the others are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.policy.criteria import Criterion, every, some
from app.policy.model_rollout import Criteria, Objective, RolloutSpec

Values = Mapping[str, float | bool | None]


class Result(StrEnum):
    """What an objective, or the whole, comes to; `info` counts for nothing."""

    PASS = "pass"  # noqa: S105 - no password
    WARNING = "warning"
    FAIL = "fail"
    INFO = "info"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Judged:
    """One objective: its value, what it was before the deploy, and what each call in it came to."""

    objective: Objective
    value: float | None
    baseline: float | None
    calls: Values

    @property
    def result(self) -> Result:
        """A pass, else a warning, else a failure; unknown as soon as one of these cannot be told."""
        passing, warning = self.objective.bounds
        if not passing:
            return Result.INFO
        passed = self._one_of(passing)
        if passed is None:
            return Result.UNKNOWN
        if passed:
            return Result.PASS
        warned = self._one_of(warning)
        return Result.UNKNOWN if warned is None else Result.WARNING if warned else Result.FAIL

    @property
    def score(self) -> float:
        """Its part of the weight."""
        share = {Result.PASS: 1.0, Result.WARNING: 0.5}.get(self.result, 0.0)
        return self.objective.weight * share

    def _one_of(self, alternatives: tuple[tuple[Criterion, ...], ...]) -> bool | None:
        value = self.value
        if value is None:
            return None
        return some(every(one.holds(value, self.baseline) for one in together) for together in alternatives)

    def evidence(self) -> dict[str, Any]:
        """All of it, as plain values."""
        one = self.objective
        return {
            "sli": one.sli, "expr": one.expr, "value": self.value, "baseline": self.baseline, "calls": dict(self.calls),
            "pass": written(one.pass_), "warning": written(one.warning), "result": self.result.value,
            "weight": one.weight, "score": self.score, "key_sli": one.key_sli,
        }  # fmt: skip

    def sentence(self) -> str:
        """What was compared, and what came of it."""
        one, key = self.objective, " (key)" if self.objective.key_sli else ""
        was = "unknown before the deploy" if self.baseline is None else f"{self.baseline:.6g} before the deploy"
        said = f"{one.sli} is {'unknown' if self.value is None else f'{self.value:.6g}'}, {was}"
        return said if not one.pass_ else f"{said}: {self.result.value}{key}, it has to be {written(one.pass_)}"


@dataclass(frozen=True)
class Judgement:
    """All objectives at one moment."""

    spec: RolloutSpec
    judged: tuple[Judged, ...]

    @property
    def score(self) -> float:
        """Percent of the weights; what is unknown counts nothing, and the verdict is none then."""
        weights = sum(one.objective.weight for one in self.judged if one.result is not Result.INFO)
        return 100 * sum(one.score for one in self.judged) / weights

    @property
    def result(self) -> Result:
        """The verdict."""
        results = [one.result for one in self.judged]
        if Result.UNKNOWN in results:
            return Result.UNKNOWN
        if any(one.result is Result.FAIL and one.objective.key_sli for one in self.judged):
            return Result.FAIL
        total = self.spec.total_score
        if self.score >= total.pass_:
            return Result.PASS
        return Result.WARNING if self.score >= total.warning else Result.FAIL

    def evidence(self) -> dict[str, Any]:
        """All of it, as plain values."""
        total = self.spec.total_score
        return {
            "result": self.result.value, "score": round(self.score, 3),
            "total_score": {"pass": total.pass_, "warning": total.warning},
            "objectives": [one.evidence() for one in self.judged],
        }  # fmt: skip

    def sentence(self) -> str:
        """What was compared, in sentences: the worst first."""
        order = [Result.FAIL, Result.UNKNOWN, Result.WARNING, Result.PASS, Result.INFO]
        found = sorted(self.judged, key=lambda one: order.index(one.result))
        return ". ".join(one.sentence() for one in found)


def written(alternatives: tuple[Criteria, ...]) -> str:
    """Criteria as one would say them."""
    return ", or ".join(" and ".join(one.criteria) for one in alternatives)
