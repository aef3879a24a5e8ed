"""A metric of a policy asked about a service: which samples count, of which instances, and what follows.

Called by `app.policy.look`. The arithmetic is `app.policy.replicas`'; here is where its numbers come from.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from app.policy.durations import milli
from app.policy.facts import InstanceSeen
from app.policy.model_metrics import Metric
from app.policy.model_scale import ScaleSpec
from app.policy.replicas import (
    Answer,
    Asked,
    Grace,
    Instance,
    NoMetricError,
    Phase,
    Sample,
    for_average,
    for_value,
    per_utilization,
    per_value,
)
from app.policy.state import Series, Service, State

PERCENT = 100_000
"""Milli-units of a request where nobody says one: a sample is a percentage of an instance then."""

INSTANCE_LABELS = ("pod", "instance", "host")
"""Labels that name the instance of a series, the first that is there."""

FAILED = {
    "Resource": "FailedGetResourceMetric", "Pods": "FailedGetPodsMetric", "Object": "FailedGetObjectMetric",
    "External": "FailedGetExternalMetric",
}  # fmt: skip
"""Kubernetes' reason of a metric that cannot be asked."""


class Wish(NamedTuple):
    """What one metric asks for. `value` is in the target's unit, over `instances` series."""

    name: str
    value: float
    target: float
    ratio: float
    instances: int
    wanted: int


class Fresh(NamedTuple):
    """A series that is not stale: its labels, its newest sample, and what counts of it."""

    labels: Mapping[str, str]
    newest: Series
    value: float


def fresh(state: State, service: Service, metric: Metric, stale_s: float) -> list[Fresh]:
    """The series of a metric that count now."""
    from_ms = state.read_until_ms - round(stale_s * 1000)
    found = []
    for key, one in service.series.items():
        if one.name != metric.name or one.at_ms <= from_ms:
            continue
        labels = labels_of(key)
        if all(labels.get(name) == value for name, value in metric.labels.items()):
            found.append(Fresh(labels, one, _counts(state, metric, one)))
    return found


def _counts(state: State, metric: Metric, one: Series) -> float:
    """What counts of a series: its newest sample, or what its window comes to."""
    if not metric.over_s or one.window is None:
        return one.value
    buckets = one.window.since(state.now_ms - round(metric.over_s * 1000))
    if not buckets:
        return one.value  # older than the window, and not stale yet
    match metric.aggregate:
        case "max":
            return max(bucket.most for bucket in buckets)
        case "min":
            return min(bucket.least for bucket in buckets)
    total = sum(bucket.sum for bucket in buckets)
    return total if metric.aggregate == "sum" else total / sum(bucket.count for bucket in buckets)


@lru_cache(maxsize=100_000)
def labels_of(key: str) -> Mapping[str, str]:
    """The labels in the name of a series."""
    return dict(part.partition("=")[::2] for part in key.split("\x1f")[1:])


def wish_of(state: State, service: Service, spec: ScaleSpec, metric: Metric, current: int) -> tuple[Wish, int]:
    """What a metric asks for, and when its newest sample was taken; raises NoMetricError."""
    series = fresh(state, service, metric, spec.stale_s)
    if not series:
        raise NoMetricError("there is no fresh sample")
    newest_ms = max(one.newest.at_ms for one in series)
    instances = _instances(service, series, current, metric)
    grace = Grace(round(1000 * spec.cpuInitializationPeriod_s), round(1000 * spec.initialReadinessDelay_s))
    asked = Asked(current, instances, spec.tolerances, grace, state.now_ms)
    answer = _shared(asked, service, series, metric) if metric.shared else _each(asked, series, metric)
    target = metric.target.number
    count = len(series) if metric.shared else min(len(series), len(instances) or len(series))
    return Wish(metric.name, answer.ratio * target, target, answer.ratio, count, answer.replicas), newest_ms


def _shared(asked: Asked, service: Service, series: list[Fresh], metric: Metric) -> Answer:
    usage = sum(milli_of(one.value) for one in series)
    target = milli(metric.target.number)
    if metric.target.type == "Value":
        return for_value(asked, usage, target)
    running = service.observed.running if service.observed is not None else -1
    return for_average(asked, asked.current if running < 0 else running, usage, target)


def _each(asked: Asked, series: list[Fresh], metric: Metric) -> Answer:
    samples = {
        instance_of(one.labels): Sample(milli_of(one.value), one.newest.at_ms, _window_ms(one.labels))
        for one in sorted(series, key=lambda one: one.newest.at_ms)
    }
    names = {one.name for one in asked.instances}
    samples = {name: sample for name, sample in samples.items() if name in names}
    if metric.target.type == "Utilization":
        return per_utilization(asked, samples, metric.name, int(metric.target.number))
    resource = metric.name if metric.type == "Resource" else ""
    return per_value(asked, samples, resource, milli(metric.target.number))


def instance_of(labels: Mapping[str, str]) -> str:
    """The instance that a series is of."""
    for name in INSTANCE_LABELS:
        if name in labels:
            return labels[name]
    return "\x1f".join(f"{name}={labels[name]}" for name in sorted(labels))


def milli_of(value: float) -> int:
    """A sample in whole milli-units."""
    return round(value * 1000)


def _window_ms(labels: Mapping[str, str]) -> int:
    """The milliseconds that a sample is the mean of, where its agent says so in a label."""
    given = labels.get("window_s", "30")
    try:
        return round(float(given) * 1000)
    except ValueError:
        return 30_000


def _instances(service: Service, series: list[Fresh], current: int, metric: Metric) -> list[Instance]:
    """The instances there are; where nobody says, those that report newest, and nameless ones for the rest."""
    seen = service.observed.instances if service.observed is not None else None
    if seen is not None:
        return [_instance(one, metric.name) for one in seen]
    if metric.shared:
        return [Instance(str(n)) for n in range(current)]
    newest: dict[str, int] = {}
    for one in series:
        name = instance_of(one.labels)
        newest[name] = max(newest.get(name, -1), one.newest.at_ms)
    names = sorted(newest, key=lambda name: -newest[name])[: max(current, 1)]
    names += [f"\x1f{n}" for n in range(current - len(names))]
    return [Instance(name, started_ms=0, requests={metric.name: PERCENT}) for name in names]


def _instance(one: InstanceSeen, resource: str) -> Instance:
    try:
        phase = Phase(one.phase)
    except ValueError:
        phase = Phase.UNKNOWN
    requests = one.requests or {resource: PERCENT}
    return Instance(one.name, phase, one.started_ms, one.ready, one.since_ms, one.deleted, requests)
