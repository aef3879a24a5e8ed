"""What a policy document of kind Alerting may say: who is told of which alerts, in Alertmanager's words.

`app.policy.kinds` has it in its table; `app.policy.routing` reads its routes, `app.policy.inhibit` its
rules. A set of policies has one such document at most.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from app.policy.durations import Seconds
from app.policy.intervals import NamedInterval
from app.policy.matchers import Matcher, matchers_of
from app.policy.model import Metadata, Mode, Strict

ROUTES: Final = 200
"""Most routes of a document."""


def _matchers(text: str) -> str:
    matchers_of(text)
    return text


def _ours(given: Any) -> Any:
    if given not in (["service"], ("service",)):
        raise ValueError("alerts are grouped by service; leave it out, or write group_by: [service]")
    return given


Matchers = tuple[Annotated[str, AfterValidator(_matchers)], ...]


def parsed(texts: Matchers) -> tuple[Matcher, ...]:
    """The matchers in some texts, all of which have to hold."""
    return tuple(one for text in texts for one in matchers_of(text))


class Route(Strict):
    """Who is told of the alerts that match; what is left out is as in the route above it."""

    receiver: Annotated[
        str, Field(description="The receiver, by its name in the targets file; needed at the root.")
    ] = ""
    matchers: Annotated[
        Matchers,
        Field(description='What the labels of an alert have to be, like `severity="critical"`; all must hold.'),
    ] = ()
    continue_: Annotated[
        bool, Field(alias="continue", description="Whether the routes after it are asked as well, where it matches.")
    ] = False
    group_by: Annotated[
        tuple[Literal["service"], ...], BeforeValidator(_ours), Field(description="Always `[service]`.")
    ] = ("service",)
    group_wait_s: Seconds | None = Field(
        None, alias="group_wait", description="How long the first alert of a service waits for others. At the root 30s."
    )
    group_interval_s: Seconds | None = Field(
        None, alias="group_interval", description="Least time between two messages of a service. At the root 5m."
    )
    repeat_interval_s: Seconds | None = Field(
        None, alias="repeat_interval", description="How often people are told again while it fires. At the root 4h."
    )
    mute_time_intervals: Annotated[
        tuple[str, ...],
        Field(description="Names of intervals in which nobody is told. The routes below have their own."),
    ] = ()
    active_time_intervals: Annotated[
        tuple[str, ...], Field(description="Names of intervals in which alone people are told; left out: always.")
    ] = ()
    routes: Annotated[
        tuple["Route", ...],
        Field(description="Routes below: the first that matches counts. What one leaves out is as here."),
    ] = ()

    @model_validator(mode="after")
    def _waits(self) -> Self:
        for name in ("group_interval", "repeat_interval"):
            if getattr(self, f"{name}_s") == 0:
                raise ValueError(f"{name} cannot be 0")
        return self

    def __iter__(self) -> Iterator["Route"]:  # type: ignore[override]
        """The route and all below it."""
        yield self
        for one in self.routes:
            yield from one

    @cached_property
    def wanted(self) -> tuple[Matcher, ...]:
        """Its matchers."""
        return parsed(self.matchers)


class InhibitRule(Strict):
    """Of alerts that match the target nobody is told while one of the same service fires that matches the source."""

    source_matchers: Annotated[Matchers, Field(min_length=1, description="Which alerts inhibit others.")]
    target_matchers: Annotated[Matchers, Field(min_length=1, description="Which alerts they inhibit.")]
    equal: Annotated[tuple[str, ...], Field(description="Labels that have to be the same in both.")] = ()

    @cached_property
    def source(self) -> tuple[Matcher, ...]:
        """Matchers of alerts that inhibit."""
        return parsed(self.source_matchers)

    @cached_property
    def target(self) -> tuple[Matcher, ...]:
        """Matchers of alerts that are inhibited."""
        return parsed(self.target_matchers)


class AlertingSpec(Strict):
    """Who is told, and when not. Every Alert goes this way, but for those that name their receiver."""

    route: Annotated[Route, Field(description="The root: it takes every alert that no route below it takes.")]
    inhibit_rules: Annotated[
        tuple[InhibitRule, ...], Field(max_length=100, description="Alerts that make others not worth telling.")
    ] = ()
    time_intervals: Annotated[
        tuple[NamedInterval, ...], Field(max_length=100, description="Intervals that routes name.")
    ] = ()
    mode: Mode = "active"

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        root, every = self.route, list(self.route)
        if not root.receiver:
            raise ValueError("route has no receiver; the root takes what no other route takes, so it has to have one")
        if root.matchers or root.continue_ or root.mute_time_intervals or root.active_time_intervals:
            raise ValueError("route is the root and takes every alert: no matchers, continue or time intervals there")
        if len(every) > ROUTES:
            raise ValueError(f"there are {len(every)} routes, and at most {ROUTES} are taken")
        names = [one.name for one in self.time_intervals]
        if len(set(names)) != len(names):
            raise ValueError("two time_intervals have one name")
        asked = [name for one in every for name in (*one.mute_time_intervals, *one.active_time_intervals)]
        if unknown := [name for name in asked if name not in names]:
            raise ValueError(f"{unknown[0]!r} is no name of a time interval; there are {', '.join(names) or 'none'}")
        return self

    @cached_property
    def intervals(self) -> dict[str, NamedInterval]:
        """The intervals by their names."""
        return {one.name: one for one in self.time_intervals}


class AlertingPolicy(Strict):
    """A document of kind Alerting."""

    apiVersion: Literal["headrace/v1"]  # noqa: N815
    kind: Literal["Alerting"]
    metadata: Metadata
    spec: AlertingSpec
