"""What a policy document of kind Route may say: which deploys and changes go to which downstream service.

`app.policy.kinds` has it in its table; `app.policy.route` reads nothing else of a Route.
"""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from string import Formatter
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from app.policy.model import Metadata, Mode, Strict

EventType = Literal[
    "deploy_started", "deployed", "deploy_failed", "rolled_back", "removed", "pod_started", "pod_stopped",
    "config_changed", "flag_changed", "infrastructure_changed",
]  # fmt: skip


def _template(value: str) -> str:
    for _, field, spec, conversion in Formatter().parse(value):
        if field is not None and (field not in {"service", "environment"} or spec or conversion):
            raise ValueError(f"{{{field}}} is not known; there are {{service}} and {{environment}}")
    return value


class Destination(Strict):
    """One downstream service."""

    events: Annotated[
        tuple[EventType, ...] | None, Field(description="Of the Route's events only these; left out: all of them.")
    ] = None


class LoadBalancer(Destination):
    """A balancer that is to serve exactly the instances that are known; events that change none are passed over."""

    balancer: Annotated[str, Field(min_length=1, description="The balancer, by its name in the targets file.")]
    backend: Annotated[
        str,
        Field(min_length=1, description="What it calls the service; may hold `{service}` and `{environment}`."),
        AfterValidator(_template),
    ] = "{service}"


class Annotations(Destination):
    """A dashboard on which the moment is marked."""

    dashboard: Annotated[str, Field(min_length=1, description="The dashboard, by its name in the targets file.")]


class Notification(Destination):
    """People who are told."""

    receiver: Annotated[str, Field(min_length=1, description="The receiver, by its name in the targets file.")]


class Cost(Destination):
    """A book in which is noted what the service costs from then on."""

    book: Annotated[str, Field(min_length=1, description="The book, by its name in the targets file.")]
    price: Annotated[str, Field(min_length=1, description="The price of a replica, by its name in the book.")] = (
        "default"
    )


class To(Strict):
    """Where to; one of each at most."""

    loadBalancer: LoadBalancer | None = None  # noqa: N815 - the field's manner
    annotate: Annotations | None = None
    notify: Notification | None = None
    cost: Cost | None = None

    def __iter__(self) -> Iterator[Destination]:  # type: ignore[override]
        """The destinations that are set, always in one order."""
        return iter(one for one in (self.loadBalancer, self.annotate, self.notify, self.cost) if one is not None)


class RouteSpec(Strict):
    """What a Route sends on, and where to."""

    service: Annotated[str, Field(min_length=1, description="Name of the service, or a glob.")] = "*"
    environment: Annotated[str, Field(description="Name of the environment, or a glob; `*` is any, also none.")] = "*"
    events: Annotated[
        tuple[EventType, ...], Field(min_length=1, description="Types of the events that are sent on.")
    ] = ("pod_started", "deployed", "rolled_back")
    to: To
    mode: Mode = "active"

    @model_validator(mode="after")
    def _goes_somewhere(self) -> "RouteSpec":
        if not list(self.to):
            raise ValueError("`to` names no destination; there are loadBalancer, annotate, notify and cost")
        return self

    def matches(self, event: str, service: str, environment: str) -> bool:
        """Whether the Route is meant for an event."""
        return (
            event in self.events
            and fnmatchcase(service, self.service)
            and (self.environment == "*" or fnmatchcase(environment, self.environment))
        )


class RoutePolicy(Strict):
    """A document of kind Route."""

    apiVersion: Literal["headrace/v1"]  # noqa: N815
    kind: Literal["Route"]
    metadata: Metadata
    spec: RouteSpec
