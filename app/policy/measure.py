"""A metric of a policy asked about a service: which samples count, of which instances, and what follows.

Called by `app.policy.look`. The arithmetic is `app.policy.replicas`'; here is where its numbers come
from. Steps and backlogs have theirs in `app.policy.steps` and `app.policy.backlog`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from app.policy import backlog, steps
from app.policy.answers import Answers
from app.policy.durations import milli
from app.policy.expression import compiled
from app.policy.facts import InstanceSeen
from app.policy.model_metrics import Metric
from app.policy.readings import Fresh, Question, Wish, fresh, known, only_up, unknown_of
from app.policy.replicas import (
    Answer,
    Asked,
    Instance,
    NoMetricError,
    Phase,
    Sample,
    for_average,
    for_value,
    per_utilization,
    per_value,
)
from app.policy.state import Service

LARGEST_VALUE = 1e100
"""Largest number that is reckoned with: a sum of some thousand of them, in milli-units, is a float yet."""

PERCENT = 100_000
"""Milli-units of a request where nobody says one: a sample is a percentage of an instance then."""

WINDOW_MS = 30_000
"""Milliseconds that a sample is taken to be the mean of where nobody says."""

FAILED = {
    "Resource": "FailedGetResourceMetric", "Pods": "FailedGetPodsMetric", "Object": "FailedGetObjectMetric",
    "External": "FailedGetExternalMetric", "Expression": "FailedGetExpressionMetric",
    "Steps": "FailedGetStepsMetric", "Backlog": "FailedGetBacklogMetric",
}  # fmt: skip
"""The reason of a metric that cannot be asked; the first four are Kubernetes'."""


_PHASES = {one.value: one for one in Phase}


def wish_of(question: Question, metric: Metric) -> Wish:
    """What a metric asks for; raises NoMetricError."""
    match metric.type:
        case "Expression":
            return _computed(question, metric)
        case "Steps":
            return steps.wish_of(question, metric)
        case "Backlog":
            return backlog.wish_of(question, metric)
    return _kubernetes(question, metric)


def _kubernetes(question: Question, metric: Metric) -> Wish:
    """One of Kubernetes' types."""
    state, service, spec, _, current = question
    series = fresh(state, service, metric.reading, spec.stale_ms)
    values = known(series)
    instances = _instances(service, series, current, metric)
    asked = _asked(question, instances)
    total, shared = sum(values), metric.shared
    if shared:
        answer = _shared(asked, service, sum(map(milli_of, values)), metric)
        count = len(values)
    else:
        answer = _each(asked, series, metric)
        count = min(len(values), len(instances))
    evidence = _evidence(metric, answer, total, count)
    if what := metric.reading.what:
        evidence["of"] = what
    wish = Wish(answer.replicas, total, max(one.newest.at_ms for one in series), evidence)
    return only_up(wish, question, unknown_of(metric.name, series)) if shared else wish


def _computed(question: Question, metric: Metric) -> Wish:
    """A number of several metrics, asked as one that all instances share."""
    state, service, spec, _, current = question
    assert metric.expression is not None
    expression = compiled(metric.expression.expr)
    found, values = expression.number(Answers(state, service, spec.stale_ms).answer)
    if found is None:
        unknown = ", ".join(call for call, value in values.items() if value is None)
        raise NoMetricError(f"{unknown} cannot be said" if unknown else "the expression gives no finite number")
    from_ms, reads = state.read_until_ms - spec.stale_ms, expression.reads
    read = [one.at_ms for one in service.series.values() if one.name in reads and one.at_ms > from_ms]
    instances = _instances(service, [], current, metric)
    answer = _shared(_asked(question, instances), service, milli_of(found), metric)
    evidence = _evidence(metric, answer, found, len(read)) | {
        "type": "Expression", "expr": metric.expression.expr, "values": values
    }  # fmt: skip
    return Wish(answer.replicas, found, max(read, default=0), evidence)


def _asked(question: Question, instances: Sequence[Instance]) -> Asked:
    spec = question.spec
    return Asked(question.current, instances, spec.tolerances, spec.grace, question.state.now_ms)


def _evidence(metric: Metric, answer: Answer, total: float, count: int) -> dict[str, Any]:
    """The value in the target's unit, over `count` series; where there is no instance to share it, the whole of it."""
    target, ratio = metric.target.number, answer.ratio
    shares = math.isfinite(ratio)
    return {
        "name": metric.name, "value": ratio * target if shares else total, "target": target,
        "ratio": ratio if shares else None, "instances": count, "wanted": answer.replicas,
    }  # fmt: skip


def _shared(asked: Asked, service: Service, usage: int, metric: Metric) -> Answer:
    target = milli(metric.target.number)
    if metric.target.type == "Value":
        return for_value(asked, usage, target)
    running = service.observed.running if service.observed is not None else -1
    return for_average(asked, asked.current if running < 0 else running, usage, target)


def _each(asked: Asked, series: list[Fresh], metric: Metric) -> Answer:
    names = {one.name for one in asked.instances}
    samples = {
        one.instance: Sample(milli_of(one.value), one.newest.at_ms, _window_ms(one.labels))
        for one in sorted(series, key=lambda one: one.newest.at_ms)
        if one.value is not None and one.instance in names
    }
    if metric.target.type == "Utilization":
        return per_utilization(asked, samples, metric.name, int(metric.target.number))
    resource = metric.name if metric.type == "Resource" else ""
    return per_value(asked, samples, resource, milli(metric.target.number))


def milli_of(value: float) -> int:
    """A sample in whole milli-units; raises NoMetricError if it is too large to be any."""
    if not -LARGEST_VALUE <= value <= LARGEST_VALUE:
        raise NoMetricError(f"{value:g} is too large to reckon with")
    return round(value * 1000)


def _window_ms(labels: Mapping[str, str]) -> int:
    """The milliseconds that a sample is the mean of, where its agent says so in a label."""
    if "window_s" not in labels:
        return WINDOW_MS
    try:
        return round(float(labels["window_s"]) * 1000)
    except ValueError:
        return WINDOW_MS


def _instances(service: Service, series: list[Fresh], current: int, metric: Metric) -> list[Instance]:
    """The instances there are; where nobody says, those that report newest, and nameless ones for the rest."""
    seen = service.observed.instances if service.observed is not None else None
    if seen is not None:
        return [_instance(one, metric.name) for one in seen]
    if metric.shared:
        return [Instance(str(n)) for n in range(current)]
    newest: dict[str, int] = {}
    for one in series:
        newest[one.instance] = max(newest.get(one.instance, -1), one.newest.at_ms)
    names = sorted(newest, key=lambda name: -newest[name])[: max(current, 1)]
    names += [f"\x1f{n}" for n in range(current - len(names))]
    requests = {metric.name: PERCENT}
    return [Instance(name, started_ms=0, requests=requests) for name in names]


def _instance(one: InstanceSeen, resource: str) -> Instance:
    phase = _PHASES.get(one.phase, Phase.UNKNOWN)
    requests = one.requests or {resource: PERCENT}
    return Instance(one.name, phase, one.started_ms, one.ready, one.since_ms, one.deleted, requests)
