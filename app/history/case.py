"""Timelines that test policies, in the manner of promtool: what a file of them may say. Pure.

Read by `headrace policy test`; `app.history.scenario` runs them.
"""

import json
from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, Field

from app.history.difference import missing
from app.history.notation import InputSeries
from app.history.replies import Became, Said
from app.policy.decision import Decision, Reason
from app.policy.durations import Seconds
from app.policy.facts import InstanceSeen
from app.policy.model import Strict
from tasks.contract import Notify, RollBack, Scale

BEGIN_MS: Final = 1_700_000_000_000


class Happening(Strict):
    """An event on the timeline: a deploy's, or a change."""

    at_s: Seconds = Field(alias="at", description="When, from the beginning.")
    type: Annotated[str, Field(description="As on the topic of events ([formats.md](formats.md)), like `deployed`.")]
    version: Annotated[str, Field(description="The version that a deploy is of.")] = ""
    environment: Annotated[str, Field(description="Where it is deployed.")] = ""
    pod: Annotated[str, Field(description="The instance, for the types that are about one.")] = ""
    address: Annotated[str, Field(description="Its address, `IP:port`.")] = ""
    what: Annotated[str, Field(description="What was changed, for a change.")] = ""


class Instance(Strict):
    """One instance as an observer sees it."""

    name: Annotated[str, Field(description="Name of the instance.")]
    version: Annotated[str, Field(description="The version that it runs; empty: nobody says.")] = ""
    phase: Annotated[str, Field(description="In Kubernetes' words, like Pending or Failed.")] = "Running"
    ready: Annotated[bool | None, Field(description="Whether it serves; null: nobody says.")] = True
    restarts: Annotated[int, Field(ge=0, description="How often it was started again.")] = 0
    started_s: Seconds | None = Field(
        None, alias="started", description="When it started, from the beginning; left out: nobody says."
    )

    def seen(self, begin_ms: int) -> InstanceSeen:
        """The same as the engine has it."""
        started = None if self.started_s is None else begin_ms + round(self.started_s * 1000)
        return InstanceSeen(
            self.name, self.phase, started, self.ready, started or 0, restarts=self.restarts, version=self.version
        )


class Observation(Strict):
    """What an observer says of the instances at a moment."""

    at_s: Seconds = Field(alias="at", description="When, from the beginning.")
    wanted: Annotated[int | None, Field(ge=0, description="How many are asked for; left out: as before.")] = None
    each: Annotated[list[Instance], Field(description="The instances one by one.")]


class Expected(Strict):
    """One decision that is expected; what is left out may be anything."""

    reason: Annotated[Reason | None, Field(description="Its reason, one of those in [reasons.md](reasons.md).")] = None
    policy: Annotated[str | None, Field(description="The policy that decided.")] = None
    to: Annotated[int | None, Field(description="Replicas that it scales to.")] = None
    version: Annotated[str | None, Field(description="Version that it rolls back to.")] = None
    receiver: Annotated[str | None, Field(description="Who is told.")] = None
    title: Annotated[str | None, Field(description="Words in the title of what they are told.")] = None
    refused: Annotated[bool | None, Field(description="Whether nothing is done.")] = None
    shadow: Annotated[bool | None, Field(description="Whether its policy is on trial.")] = None
    evidence: Annotated[
        dict[str, Any] | None, Field(description="Values that its evidence has, among others: `{wanted: 5}`.")
    ] = None

    def misses(self, one: Decision) -> list[str]:
        """The fields of a decision that are not as expected, a sentence each; none: it fits."""
        found = {
            "reason": one.reason,
            "policy": one.policy,
            "to": one.action.to_replicas if isinstance(one.action, Scale) else None,
            "version": one.action.to_version if isinstance(one.action, RollBack) else None,
            "receiver": one.action.receiver if isinstance(one.action, Notify) else None,
            "refused": one.action is None,
            "shadow": one.shadow,
        }
        wanted = self.model_dump(exclude_none=True, exclude={"evidence", "title"})
        wrong = [
            f"{name} is {_word(found[name])} and not {_word(value)}"
            for name, value in wanted.items() if found[name] != value
        ]  # fmt: skip
        title = one.action.title if isinstance(one.action, Notify) else ""
        if self.title is not None and self.title not in title:
            wrong.append(f"title is {_word(title)} and has not {_word(self.title)} in it")
        return [*wrong, *missing(one.evidence, self.evidence or {})]

    def __str__(self) -> str:
        words = self.model_dump(exclude_defaults=True, mode="json")
        return " ".join(f"{name}={_word(value)}" for name, value in words.items()) or "any decision"


def _word(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


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

    name: Annotated[str, Field(description="What the timeline shows, in a sentence.")]
    service: Annotated[str, Field(description="The service that series, events and checks are of.")]
    replicas: Annotated[int | None, Field(ge=0, description="Replicas at the beginning; left out: nobody says.")] = None
    start: Annotated[
        AwareDatetime | None,
        Field(description="When the timeline begins, like `2026-03-28T21:00:00Z`; left out: it does not matter."),
    ] = None
    interval_s: Seconds = Field(15.0, alias="interval", gt=0, description="Time between two values of a series.")
    actuator: Annotated[
        Literal["instant", "none"],
        Field(description="instant: each scaling is done at once. none: `outcomes` say what became of it."),
    ] = "instant"
    input_series: tuple[InputSeries, ...] = ()
    events: tuple[Happening, ...] = ()
    instances: tuple[Observation, ...] = ()
    commands: tuple[Said, ...] = ()
    outcomes: tuple[Became, ...] = ()
    expect: Annotated[list[Check], Field(min_length=1)]

    @property
    def begin_ms(self) -> int:
        """When the timeline begins."""
        return BEGIN_MS if self.start is None else round(self.start.timestamp() * 1000)


class TestFile(Strict):
    """A file of timelines, and the policy files that they test (relative to it)."""

    __test__ = False  # no test of pytest's

    policies: Annotated[list[str], Field(min_length=1, description="Files of policies, all in force.")]
    tests: Annotated[list[Case], Field(min_length=1)]


Event = Happening | Observation | Said | Became
"""Whatever happens on a timeline beside its series."""
