"""Step scaling: so many replicas more or fewer by the range that a metric is in.

Called by `app.policy.measure`. A step is counted from the replicas there are, so it must not be taken
twice for one cause: samples from before the policy's last scaling do not count, and a cooldown,
without which no such policy is valid, is for the time that the metric takes to follow.
"""

import math
from collections.abc import Sequence
from typing import Any

from app.policy.model_metrics import Metric
from app.policy.model_steps import Range
from app.policy.readings import Fresh, Question, Wish, fresh, known
from app.policy.replicas import LARGEST, NoMetricError, Phase


def change_of(step: Range, current: int) -> int:
    """By how many replicas a range steps; a percentage is rounded away from 0, and is no smaller than `least`."""
    if step.percent is None:
        return step.change or 0
    size = max(math.ceil(round(abs(step.percent) * current / 100, 9)), step.least or 0)
    return size if step.percent > 0 else -size


def wish_of(question: Question, metric: Metric) -> Wish:
    """The replicas after a step by the mean of the series; raises NoMetricError."""
    state, service, spec, memory, current = question
    assert metric.steps is not None
    scaled_ms = max(memory.scaled_up_ms, memory.scaled_down_ms)
    series = fresh(state, service, metric.reading, spec.stale_ms, scaled_ms)
    if not series and fresh(state, service, metric.reading, spec.stale_ms):
        raise NoMetricError("there is no sample from after the last scaling")
    silent = 0
    if not metric.steps.shared:
        series, silent = _of_instances(question, series)
    values = known(series)
    mean = sum(values) / len(values)
    step = metric.steps.at(mean)
    change = change_of(step, current) if step is not None else 0
    silent += len(series) - len(values)
    if change < 0 and silent:
        raise NoMetricError(f"{silent} instances say nothing, and unknown never steps down")
    wanted = max(0, min(current + change, LARGEST))
    evidence: dict[str, Any] = {
        "type": "Steps", "name": metric.name, "value": mean, "instances": len(values), "wanted": wanted,
        "change": change, "from": step.from_ if step else None, "to": step.to if step else None,
    }  # fmt: skip
    if what := metric.reading.what:
        evidence["of"] = what
    return Wish(wanted, mean, max(one.newest.at_ms for one in series), evidence)


def _of_instances(question: Question, series: Sequence[Fresh]) -> tuple[list[Fresh], int]:
    """The series of instances that there are, and how many instances have none."""
    names = [one.instance for one in series]
    observed = question.service.observed
    seen = observed.instances if observed is not None else None
    if seen is None:
        return list(series), max(0, question.current - len(set(names)))
    there = {one.name: one for one in seen if not one.deleted and one.phase != Phase.FAILED}
    mine = [one for one, name in zip(series, names, strict=True) if name in there]
    reporting = set(names)
    silent = [name for name, one in there.items() if one.phase == Phase.RUNNING and name not in reporting]
    return mine, len(silent)
