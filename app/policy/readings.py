"""The samples that count for a metric of a policy, of those that are kept; what a look asks, and is answered. Pure.

Called by `app.policy.measure`, `app.policy.steps` and `app.policy.backlog`. A sample that is stale is no sample.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from app.policy.aggregates import aggregate, quantile
from app.policy.instances import instance_in, labels_of
from app.policy.model_reading import Reading
from app.policy.model_scale import ScaleSpec
from app.policy.replicas import NoMetricError
from app.policy.state import Memory, Series, Service, State


class Question(NamedTuple):
    """One look at a service under a policy that remembers `memory` of it."""

    state: State
    service: Service
    spec: ScaleSpec
    memory: Memory
    current: int


class Wish(NamedTuple):
    """What one metric asks for, from samples of which the newest was taken at `at_ms`.

    `seen` is what its activation is compared with, `evidence` what people are told; `bound` is
    whether it asks for fewer than it needs, since more could do nothing.
    """

    wanted: int
    seen: float
    at_ms: int
    evidence: dict[str, Any]
    bound: bool = False


class Fresh(NamedTuple):
    """A series that is not stale: its labels, its newest sample, and what counts of it (None: too little is known).

    `instance` is the one that it is of.
    """

    labels: Mapping[str, str]
    newest: Series
    value: float | None
    instance: str


def fresh(state: State, service: Service, reading: Reading, stale_ms: int, after_ms: int = 0) -> list[Fresh]:
    """The series of a metric that count now; with `after_ms` from samples that are newer than that alone."""
    from_ms = max(state.read_until_ms - stale_ms, after_ms)
    name, selector, found = reading.name, reading.selector, []
    choosy = bool(selector.matchLabels or selector.matchExpressions)
    since_ms = max(state.now_ms - reading.over_ms, after_ms)
    for key, one in service.series.items():
        if one.name != name or one.at_ms <= from_ms:
            continue
        labels = labels_of(key)
        if not choosy or selector.matches(labels):
            value = _counts(reading, one, since_ms) if reading.over_ms else one.value
            found.append(Fresh(labels, one, value, instance_in(key)))
    return found


def _counts(reading: Reading, one: Series, from_ms: int) -> float | None:
    """What the window of a series comes to, or its newest sample."""
    if reading.aggregate == "last":
        return one.value
    windows = [one.window] if one.window is not None else []
    if reading.aggregate == "quantile":
        found = quantile(windows, reading.quantile, from_ms)
    else:
        found = aggregate("avg" if reading.aggregate == "mean" else reading.aggregate, windows, from_ms)
    # a sample that is older than the window, and not stale yet, still counts; of a counter it says nothing
    return one.value if found is None and reading.aggregate != "rate" else found


def known(series: Sequence[Fresh]) -> list[float]:
    """What counts of the series; raises NoMetricError if there is nothing."""
    if not series:
        raise NoMetricError("there is no fresh sample")
    found = [one.value for one in series if one.value is not None]
    if not found:
        raise NoMetricError("there are too few samples for a rate")
    return found


def unknown_of(name: str, series: Sequence[Fresh]) -> str:
    """What is not known of a metric whose series are added up; empty if all of it is."""
    if not series:
        return f"there is no fresh sample of {name}"
    unknown = sum(one.value is None for one in series)
    return f"{unknown} of {len(series)} series of {name} have too few samples for a rate" if unknown else ""


def only_up(wish: Wish, question: Question, unknown: str) -> Wish:
    """A wish that may be too small, since something is unknown; raises NoMetricError if it is for fewer."""
    if unknown and wish.wanted < question.current:
        raise NoMetricError(f"{unknown}, so it can only ask for more")
    return wish
