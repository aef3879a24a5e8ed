"""How many replicas one metric asks for: the arithmetic of Kubernetes' HorizontalPodAutoscaler, to the last bit.

After pkg/controller/podautoscaler/replica_calculator.go of Kubernetes v1.37; the names are its own.
Values are whole milli-units, ratios float64, and what it truncates is truncated here. Called by
`app.policy.measure`, which knows where the numbers come from; nothing is remembered here.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

LARGEST: Final = 2**31 - 1
"""Most replicas that are asked for: Kubernetes' own bound."""


class NoMetricError(Exception):
    """A metric that cannot be asked; the text says why."""


class Phase(StrEnum):
    """Phases of an instance, in Kubernetes' words."""

    PENDING = "Pending"
    RUNNING = "Running"
    FAILED = "Failed"
    SUCCEEDED = "Succeeded"
    UNKNOWN = "Unknown"


class Instance(NamedTuple):
    """One instance as an observer saw it. Times are milliseconds; `ready` None: nobody says."""

    name: str
    phase: Phase = Phase.RUNNING
    started_ms: int | None = None
    ready: bool | None = True
    since_ms: int = 0
    deleted: bool = False
    requests: Mapping[str, int] = {}


class Sample(NamedTuple):
    """An instance's value in milli-units, when it was taken, and the milliseconds that it is the mean of."""

    value: int
    at_ms: int = 0
    window_ms: int = 0


class Tolerance(NamedTuple):
    """Shares by which a ratio may miss 1 in each direction."""

    down: float
    up: float

    def has(self, ratio: float) -> bool:
        """Whether the ratio is close enough to 1; the borders are."""
        return (1.0 - self.down) <= ratio <= (1.0 + self.up)


class Grace(NamedTuple):
    """How long a started instance's CPU is not believed, and how long it takes to be ready for the first time."""

    cpu_ms: int = 300_000
    ready_ms: int = 30_000


class Answer(NamedTuple):
    """How many replicas a metric asks for, and the ratio of what it is to what it should be."""

    replicas: int
    ratio: float


class Asked(NamedTuple):
    """One question: what there is, what is tolerated, and what time it is."""

    current: int
    instances: Sequence[Instance]
    tolerance: Tolerance
    grace: Grace
    now_ms: int


def per_utilization(asked: Asked, samples: Mapping[str, Sample], resource: str, target: int) -> Answer:
    """Replicas for a percentage of the requests; raises NoMetricError."""
    groups = _grouped(asked, samples, resource)
    requests = {}
    for one in asked.instances:
        if resource not in one.requests:
            raise NoMetricError(f"instance {one.name} says no request for {resource}")
        requests[one.name] = one.requests[resource]

    def ratio(values: Mapping[str, int]) -> float:
        known = [name for name in values if name in requests]
        total = sum(requests[name] for name in known)
        if total == 0:
            raise NoMetricError("no sample is of an instance that is known")
        return _quotient(sum(values[name] for name in known) * 100, total) / target

    missing = {name: _quotient(requests[name] * max(100, target), 100) for name in groups.missing}
    return _settled(asked, groups, ratio, missing)


def per_value(asked: Asked, samples: Mapping[str, Sample], resource: str, target: int) -> Answer:
    """Replicas for an average value of each instance; `resource` is empty for a metric that is none."""
    groups = _grouped(asked, samples, resource)

    def ratio(values: Mapping[str, int]) -> float:
        return _quotient(sum(values.values()), len(values)) / target

    return _settled(asked, groups, ratio, dict.fromkeys(groups.missing, target))


def for_value(asked: Asked, usage: int, target: int) -> Answer:
    """Replicas for one number that all instances share: by the ratio, of the instances that are ready."""
    ratio = usage / target
    if asked.current == 0:
        return Answer(whole(ratio), ratio)
    if asked.tolerance.has(ratio):
        return Answer(asked.current, ratio)
    if not asked.instances:
        raise NoMetricError("there is no instance")
    ready = sum(one.phase is Phase.RUNNING and one.ready is True for one in asked.instances)
    return Answer(whole(ratio * ready), ratio)


def for_average(asked: Asked, running: int, usage: int, target: int) -> Answer:
    """Replicas for one number shared out over `running` instances (Kubernetes' status.replicas)."""
    shared = float(target) * running
    ratio = usage / shared if shared else (math.nan if usage == 0 else math.inf)
    return Answer(running if asked.tolerance.has(ratio) else whole(usage / target), ratio)


def whole(wanted: float) -> int:
    """Whole replicas, rounded up; within what Kubernetes, and the state, can hold."""
    return math.ceil(min(max(wanted, -LARGEST), LARGEST))


class _Groups(NamedTuple):
    """Instances by how they count: values of those that do, names of the unready and of those without a sample."""

    values: dict[str, int]
    ready: int
    unready: list[str]
    missing: list[str]


def _grouped(asked: Asked, samples: Mapping[str, Sample], resource: str) -> _Groups:
    if not samples:
        raise NoMetricError("there is no fresh sample")
    if not asked.instances:
        raise NoMetricError("there is no instance")
    values = {name: one.value for name, one in samples.items()}
    ready, unready, missing = 0, [], []
    for one in asked.instances:
        if one.deleted or one.phase is Phase.FAILED:
            values.pop(one.name, None)
        elif one.phase is Phase.PENDING:
            unready.append(one.name)
        elif one.name not in samples:
            missing.append(one.name)
        elif resource == "cpu" and _starting(one, samples[one.name], asked):
            unready.append(one.name)
        else:
            ready += 1
    for name in unready:
        values.pop(name, None)
    if not values:
        raise NoMetricError("no instance that is ready has a fresh sample")
    return _Groups(values, ready, unready, missing)


def _starting(one: Instance, sample: Sample, asked: Asked) -> bool:
    """Whether an instance's CPU says more about its start than about its load."""
    if one.ready is None or one.started_ms is None:
        return True
    if one.started_ms + asked.grace.cpu_ms > asked.now_ms:
        return not one.ready or sample.at_ms < one.since_ms + sample.window_ms
    return not one.ready and one.started_ms + asked.grace.ready_ms > one.since_ms


Ratio = Callable[[Mapping[str, int]], float]


def _settled(asked: Asked, groups: _Groups, ratio_of: Ratio, missing: Mapping[str, int]) -> Answer:
    """Replicas from a ratio, with those that give no value counted in the cautious way."""
    current, tolerance = asked.current, asked.tolerance
    ratio = ratio_of(groups.values)
    unready_count = bool(groups.unready) and ratio > 1.0
    if not unready_count and not groups.missing:
        return Answer(current if tolerance.has(ratio) else whole(ratio * groups.ready), ratio)
    values = dict(groups.values)
    if ratio < 1.0:
        values |= missing
    elif ratio > 1.0:
        values |= dict.fromkeys(groups.missing, 0)
    if unready_count:
        values |= dict.fromkeys(groups.unready, 0)
    again = ratio_of(values)
    if tolerance.has(again) or (ratio < 1.0 < again) or (again < 1.0 < ratio):
        return Answer(current, ratio)
    wanted = whole(again * len(values))
    turned = (again < 1.0 and wanted > current) or (again > 1.0 and wanted < current)
    return Answer(current if turned else wanted, ratio)


def _quotient(numerator: int, denominator: int) -> int:
    """Division as Go does it: towards zero."""
    quotient = abs(numerator) // abs(denominator)
    return quotient if (numerator < 0) == (denominator < 0) else -quotient
