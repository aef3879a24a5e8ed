"""Timelines that test policies, run: what was decided beside what was expected. Pure.

`headrace policy test` calls `run`, the tests of what is said of decisions `played`. The facts are the
engine's own, decided by the same `step`; each scaling is done at once, unless the file says what became of it.
"""

import math
from collections.abc import Iterator, Sequence

from app.history.case import Case, Check, Event, Expected, Observation
from app.history.difference import among, beside
from app.history.notation import pack, series_of, values_of
from app.history.replay import replay
from app.history.replies import Became, Said
from app.policy.decision import Decision, Reason
from app.policy.facts import (
    LAYOUT,
    Change,
    Deploy,
    Fact,
    Genesis,
    Instances,
    PolicyDocument,
    PolicySet,
    Record,
    Reported,
    Source,
    Tick,
)
from app.policy.files import fingerprint
from app.policy.state import State
from app.wire.events import CHANGES, PHASES


def run(case: Case, policies: Sequence[PolicyDocument]) -> list[str]:
    """What is not as expected: a sentence each, with lines below it that show the difference.

    Raises ValueError for a timeline that cannot be read.
    """
    decided, replicas = played(case, policies)
    wrong: list[str] = []
    since_ms = 0
    for check in sorted(case.expect, key=lambda one: one.at_s):
        at_ms = case.begin_ms + round(check.at_s * 1000)
        found = [one for one in decided if since_ms < one.at_ms <= at_ms and one.reason is not Reason.POLICIES_CHANGED]
        now = replicas[max(moment for moment in replicas if moment <= at_ms)]
        wrong += [f"at {check.at_s:g}s: {sentence}" for sentence in _differences(check, found, now, case.begin_ms)]
        since_ms = at_ms
    return wrong


def played(case: Case, policies: Sequence[PolicyDocument]) -> tuple[list[Decision], dict[int, int]]:
    """Every decision of a timeline, and the replicas of its service from each moment on (ms since the epoch).

    Raises ValueError for a timeline that cannot be read.
    """
    decided: list[Decision] = []
    states: dict[int, State] = {}
    replicas = {0: case.replicas or 0}
    records = _watched(_records(case, policies, decided), case.service, states, replicas)
    for one in replay(records, states, instant=case.actuator == "instant"):
        decided.append(one)  # noqa: PERF402 - an outcome that comes later answers one of them
    return decided, replicas


def _watched(
    records: Iterator[Record], service: str, states: dict[int, State], replicas: dict[int, int]
) -> Iterator[Record]:
    """The same records; after each, how many replicas the service has then."""
    for record in records:
        yield record
        seen = states[0].services.get(service)
        if seen is not None and seen.observed is not None:
            replicas[record.timestamp_ms] = seen.observed.replicas


def _differences(check: Check, found: list[Decision], replicas: int, begin_ms: int) -> Iterator[str]:
    if check.replicas is not None and check.replicas != replicas:
        yield f"{check.replicas} replicas were expected, there are {replicas}"
    if check.decisions is not None and (
        len(found) != len(check.decisions) or any(map(Expected.misses, check.decisions, found))
    ):
        yield _lines("other decisions than expected", beside(check.decisions, found, begin_ms))
    for one in check.includes or ():
        if all(map(one.misses, found)):
            yield _lines("expected, and not decided", among(one, found, begin_ms))


def _lines(sentence: str, lines: Iterator[str]) -> str:
    return "\n  ".join([f"{sentence} (- expected, + decided)", *lines])


def _records(case: Case, policies: Sequence[PolicyDocument], decided: Sequence[Decision]) -> Iterator[Record]:
    for offset, (at_s, fact) in enumerate(_facts(case, policies, decided)):
        yield Record(0, offset, case.begin_ms + round(at_s * 1000), fact)


def _facts(case: Case, policies: Sequence[PolicyDocument], decided: Sequence[Decision]) -> Iterator[tuple[float, Fact]]:
    """Facts with their seconds, in order: policies, then instances, events, samples and a tick an interval."""
    yield 0.0, Genesis("test", 1, LAYOUT)
    yield 0.0, PolicySet(_source(0), fingerprint(policies), list(policies), "", "", case.begin_ms)
    if case.replicas is not None:
        yield 0.0, Instances(_source(1), case.service, case.begin_ms, case.replicas, case.replicas)
    rows = [(series_of(one.series, case.service), list(values_of(one.values))) for one in case.input_series]
    longest_s = max([len(values) * case.interval_s for _, values in rows] + [one.at_s for one in case.expect])
    events: list[Event] = sorted(
        (*case.events, *case.instances, *case.commands, *case.outcomes), key=lambda one: one.at_s
    )
    for number in range(math.ceil(longest_s / case.interval_s) + 1):
        at_s = number * case.interval_s
        while events and events[0].at_s <= at_s:
            one = events.pop(0)
            yield (
                one.at_s if one.at_s >= at_s - case.interval_s else at_s,
                _happened(one, case, 2 + len(events), decided),
            )
        found = [(series, values[number]) for series, values in rows if number < len(values)]
        if measured := pack(found, number, case.begin_ms + round(at_s * 1000)):
            yield at_s, measured
        yield at_s, Tick(case.begin_ms + round(at_s * 1000))


def _happened(one: Event, case: Case, place: int, decided: Sequence[Decision]) -> Fact:
    at_ms, service = case.begin_ms + round(one.at_s * 1000), case.service
    source = Source("events", f"test-{place}-{at_ms}", 0, 0, 0)
    if isinstance(one, Observation):
        each = [instance.seen(case.begin_ms) for instance in one.each]
        ready = sum(instance.ready is True for instance in each)
        return Instances(source, service, at_ms, one.wanted, ready, at_ms, instances=each)
    if isinstance(one, Said):
        return one.command(source, service, at_ms)
    if isinstance(one, Became):
        return Reported(source, one.outcome(decided, at_ms))
    if one.type in CHANGES:
        return Change(source, service, one.what, at_ms, type=one.type, environment=one.environment)
    if one.type not in PHASES:
        raise ValueError(f"{one.type!r} is no type of event; there are {', '.join(sorted({*PHASES, *CHANGES}))}")
    return Deploy(
        source, service, PHASES[one.type], at_ms, one.environment, one.version, pod=one.pod, address=one.address
    )


def _source(place: int) -> Source:
    return Source("test", "test", 0, place, place)
