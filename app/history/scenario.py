"""Timelines that test policies, in the manner of promtool: series, events, and what is expected when. Pure.

`headrace policy test` reads the files and calls `run`. The facts are the engine's own, decided by the
same `step`; each scaling is done at once, unless the file says what became of it.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final

from pydantic import Field

from app.history.replay import replay
from app.policy.decision import Decision, Reason
from app.policy.durations import Seconds
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
    Samples,
    Series,
    Source,
    Tick,
)
from app.policy.files import fingerprint
from app.policy.model import Strict
from app.wire.events import CHANGES, PHASES
from tasks.contract import Notify, Scale

BEGIN_MS: Final = 1_700_000_000_000
_SERIES: Final = re.compile(r"([A-Za-z_:][\w:.]*)(?:\{([^}]*)\})?")
_LABEL: Final = re.compile(r'\s*([A-Za-z_]\w*)\s*=\s*"([^"]*)"\s*(?:,|$)')
_VALUES: Final = re.compile(r"(_|-?[\d.]+(?:[eE][+-]?\d+)?)(?:([+-])([\d.]+(?:[eE][+-]?\d+)?))?(?:x(\d+))?")


class InputSeries(Strict):
    """A series in promtool's notation: `cpu{host="web-1"}` and `50x4 95+1x3 _x2`."""

    series: Annotated[str, Field(description="Name and labels.")]
    values: Annotated[
        str, Field(description="A value an interval: `a+bxn` is a and n more, each b higher; `_` is none.")
    ]


class Happening(Strict):
    """An event on the timeline: a deploy's, or a change."""

    at_s: Seconds = Field(alias="at", description="When, from the beginning.")
    type: Annotated[str, Field(description="As on the topic of events, like `deployed`.")]
    version: str = ""
    environment: str = ""
    pod: str = ""
    address: str = ""
    what: str = ""


class Expected(Strict):
    """One decision that is expected; what is left out may be anything."""

    reason: Annotated[Reason | None, Field(description="Its reason.")] = None
    policy: Annotated[str | None, Field(description="The policy that decided.")] = None
    to: Annotated[int | None, Field(description="Replicas that it scales to.")] = None
    receiver: Annotated[str | None, Field(description="Who is told.")] = None
    refused: Annotated[bool | None, Field(description="Whether nothing is done.")] = None

    def fits(self, one: Decision) -> bool:
        """Whether a decision is as expected."""
        to = one.action.to_replicas if isinstance(one.action, Scale) else None
        receiver = one.action.receiver if isinstance(one.action, Notify) else None
        found = {
            "reason": one.reason, "policy": one.policy, "to": to, "receiver": receiver, "refused": one.action is None
        }  # fmt: skip
        wanted = self.model_dump(exclude_none=True)
        return all(found[name] == value for name, value in wanted.items())


class Check(Strict):
    """What is expected until a moment, since the check before it."""

    at_s: Seconds = Field(alias="at", description="The moment, from the beginning.")
    decisions: Annotated[
        list[Expected] | None, Field(description="All decisions since the check before, in their order.")
    ] = None
    includes: Annotated[list[Expected] | None, Field(description="Decisions that are among them.")] = None
    replicas: Annotated[int | None, Field(description="Replicas that the service has then.")] = None


class Case(Strict):
    """One timeline of one service."""

    name: str
    service: str
    replicas: Annotated[int | None, Field(ge=0, description="Replicas at the beginning; left out: nobody says.")] = None
    interval_s: Seconds = Field(15.0, alias="interval", description="Time between two values of a series.")
    input_series: tuple[InputSeries, ...] = ()
    events: tuple[Happening, ...] = ()
    expect: Annotated[list[Check], Field(min_length=1)]


class TestFile(Strict):
    """A file of timelines, and the policy files that they test (relative to it)."""

    __test__ = False  # no test of pytest's

    policies: Annotated[list[str], Field(min_length=1)]
    tests: Annotated[list[Case], Field(min_length=1)]


def values_of(text: str) -> Iterator[float | None]:
    """The values of promtool's notation; raises ValueError that names what is none."""
    for word in text.split():
        match = _VALUES.fullmatch(word)
        if match is None:
            raise ValueError(f"{word!r} is no value; write it like 50, 50x4, 50+5x4 or _x3")
        start, sign, step, count = match.groups()
        if start == "_":
            yield from [None] * int(count or 1)
            continue
        by = float(step or 0) * (-1 if sign == "-" else 1)
        yield from (float(start) + by * n for n in range(int(count or 0) + 1))


def series_of(text: str, service: str) -> Series:
    """A series by its notation; raises ValueError."""
    match = _SERIES.fullmatch(text.strip())
    if match is None or (match[2] and _LABEL.sub("", match[2]).strip()):
        raise ValueError(f'{text!r} is no series; write it like cpu{{host="web-1"}}')
    return Series(service, match[1], dict(_LABEL.findall(match[2] or "")))


def run(case: Case, policies: Sequence[PolicyDocument]) -> list[str]:
    """What is not as expected, a sentence each; raises ValueError for a timeline that cannot be read."""
    records = list(_records(case, policies))
    decided = list(replay(records, {}, instant=True))
    replicas = {0: case.replicas or 0}
    for one in decided:
        if isinstance(one.action, Scale) and not one.shadow:
            replicas[one.at_ms] = one.action.to_replicas
    wrong: list[str] = []
    since_ms = 0
    for check in sorted(case.expect, key=lambda one: one.at_s):
        at_ms = BEGIN_MS + round(check.at_s * 1000)
        found = [one for one in decided if since_ms < one.at_ms <= at_ms and one.reason is not Reason.POLICIES_CHANGED]
        now = replicas[max(moment for moment in replicas if moment <= at_ms)]
        wrong += [f"at {check.at_s:g}s: {sentence}" for sentence in _differences(check, found, now)]
        since_ms = at_ms
    return wrong


def _differences(check: Check, found: list[Decision], replicas: int) -> Iterator[str]:
    told = ", ".join(map(_told, found)) or "nothing"
    if check.replicas is not None and check.replicas != replicas:
        yield f"{check.replicas} replicas were expected, there are {replicas} (decided: {told})"
    if check.decisions is not None and not (
        len(found) == len(check.decisions) and all(map(Expected.fits, check.decisions, found))
    ):
        yield f"expected {', '.join(map(_wanted, check.decisions)) or 'nothing'}; decided {told}"
    for one in check.includes or ():
        if not any(map(one.fits, found)):
            yield f"expected {_wanted(one)} among what was decided: {told}"


def _told(one: Decision) -> str:
    to = f" to {one.action.to_replicas}" if isinstance(one.action, Scale) else ""
    return f"{one.reason.value}{to}{f' by {one.policy}' if one.policy else ''}"


def _wanted(one: Expected) -> str:
    words: dict[str, Any] = one.model_dump(exclude_none=True, mode="json")
    return " ".join(f"{name}={value}" for name, value in words.items()) or "any decision"


def _records(case: Case, policies: Sequence[PolicyDocument]) -> Iterator[Record]:
    for offset, (at_s, fact) in enumerate(_facts(case, policies)):
        yield Record(0, offset, BEGIN_MS + round(at_s * 1000), fact)


def _facts(case: Case, policies: Sequence[PolicyDocument]) -> Iterator[tuple[float, Fact]]:
    """Facts with their seconds, in order: policies, then instances, events, samples and a tick an interval."""
    yield 0.0, Genesis("test", 1, LAYOUT)
    yield 0.0, PolicySet(_source(0), fingerprint(policies), list(policies), "", "", BEGIN_MS)
    if case.replicas is not None:
        yield 0.0, Instances(_source(1), case.service, BEGIN_MS, case.replicas, case.replicas)
    rows = [(series_of(one.series, case.service), list(values_of(one.values))) for one in case.input_series]
    longest_s = max([len(values) * case.interval_s for _, values in rows] + [one.at_s for one in case.expect])
    events = sorted(case.events, key=lambda one: one.at_s)
    for number in range(round(longest_s / case.interval_s) + 1):
        at_s = number * case.interval_s
        while events and events[0].at_s <= at_s:
            one = events.pop(0)
            yield (
                one.at_s if one.at_s >= at_s - case.interval_s else at_s,
                _happened(one, case.service, 2 + len(events)),
            )
        found = [(series, values[number]) for series, values in rows if number < len(values)]
        if pack := _pack(found, number, BEGIN_MS + round(at_s * 1000)):
            yield at_s, pack
        yield at_s, Tick(BEGIN_MS + round(at_s * 1000))


def _pack(found: list[tuple[Series, float | None]], number: int, at_ms: int) -> Samples | None:
    there = [(series, value) for series, value in found if value is not None]
    if not there:
        return None
    each = list(range(len(there)))
    source = Source("series", "series", 0, number, number)
    values = [value for _, value in there]
    return Samples(source, [one for one, _ in there], each, [at_ms] * len(each), values, [0] * len(each), each)


def _happened(one: Happening, service: str, place: int) -> Fact:
    at_ms = BEGIN_MS + round(one.at_s * 1000)
    source = Source("events", f"test-{place}-{at_ms}", 0, 0, 0)
    if one.type in CHANGES:
        return Change(source, service, one.what, at_ms, type=one.type, environment=one.environment)
    if one.type not in PHASES:
        raise ValueError(f"{one.type!r} is no type of event; there are {', '.join(sorted({*PHASES, *CHANGES}))}")
    return Deploy(
        source, service, PHASES[one.type], at_ms, one.environment, one.version, pod=one.pod, address=one.address
    )


def _source(place: int) -> Source:
    return Source("test", "test", 0, place, place)
