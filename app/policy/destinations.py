"""From an enriched event to the action that a destination of a Route asks for. Pure words to words.

Called by `app.policy.route`; nothing is remembered here.
"""

from datetime import UTC, datetime
from typing import Any, Final

from app.policy.decision import Reason
from app.policy.deployed import Release
from app.policy.model_route import Annotations, Cost, Destination, LoadBalancer, Notification
from tasks.contract import EXPIRY_S, Action, Annotate, Event, Kind, Notify, RecordCost, UpdateLoadBalancer

_INSTANCES: Final = frozenset({"pod_started", "pod_stopped", "deployed", "rolled_back"})
_COSTS: Final = _INSTANCES | {"removed"}

_SAYS: Final = {
    "deploy_started": "deploy of {version} started",
    "deployed": "{version} is deployed",
    "deploy_failed": "deploy of {version} failed",
    "rolled_back": "rolled back to {version}",
    "removed": "removed",
    "pod_started": "instance {pod} of {version} started",
    "pod_stopped": "instance {pod} of {version} stopped",
}


def changes_instances(destination: Destination, event: Event) -> bool:
    """Whether an event can mean anything to a destination: those that count instances pass others over."""
    if isinstance(destination, LoadBalancer):
        return event.event in _INSTANCES
    return not isinstance(destination, Cost) or event.event in _COSTS


def action_for(  # noqa: PLR0913, PLR0917 - what an action is made of
    destination: Destination, event: Event, release: Release, servers: list[str], action_id: str, now_ms: int
) -> Action | Reason:
    """What is to be done at a destination, or why nothing is."""
    kind = _kind(destination)
    common: dict[str, Any] = {
        "id": action_id,
        "service": event.service,
        "decided_at_ms": now_ms,
        "expires_at_ms": now_ms + EXPIRY_S[kind] * 1000,
        "reason": Reason.ROUTED.value,
    }
    match destination:
        case LoadBalancer():
            if not servers:
                return Reason.NO_BACKENDS
            backend = destination.backend.format(service=event.service, environment=event.environment)
            generation = max(release.generation + 1, now_ms)
            return UpdateLoadBalancer(
                **common, balancer=destination.balancer, backend=backend, servers=servers, generation=generation
            )
        case Annotations():
            tags = [word for word in (event.event, event.service, event.environment, event.version) if word]
            return Annotate(
                **common, dashboard=destination.dashboard, text=f"{title(event)}. {about(event)}".strip(),
                at_ms=event.at_ms, tags=tags,
            )  # fmt: skip
        case Notification():
            severity = "warning" if event.event == "deploy_failed" else "info"
            return Notify(
                **common, receiver=destination.receiver, title=title(event), body=about(event) or title(event),
                severity=severity,
            )  # fmt: skip
        case Cost():
            replicas = 0 if event.event == "removed" else event.replicas
            if replicas is None:
                return Reason.NO_COUNT
            return RecordCost(
                **common, book=destination.book, price=destination.price, environment=event.environment,
                version=event.version, replicas=replicas, at_ms=event.at_ms,
            )  # fmt: skip
    raise AssertionError(destination)


def title(event: Event) -> str:
    """What happened, in a line."""
    words = {"version": event.version or "an unknown version", "pod": event.pod or event.address}
    says = " ".join(_SAYS.get(event.event, event.what or event.event).format(**words).split())
    where = f" in {event.environment}" if event.environment else ""
    return f"{event.service}: {says}{where}"


def about(event: Event) -> str:
    """What is known of it, as sentences."""
    when = datetime.fromtimestamp(event.at_ms / 1000, UTC).isoformat(" ", "seconds").removesuffix("+00:00")
    said = [f"At {when} UTC"]
    if event.previous_version and event.previous_version != event.version:
        said.append(f"Before it: {event.previous_version}")
    for name, value in (
        ("Commit", event.commit), ("Team", event.team), ("By", event.who), ("Replicas", event.replicas),
        ("Link", event.link),
    ):  # fmt: skip
        if value not in {"", None}:
            said.append(f"{name}: {value}")
    return ". ".join(said) + "."


def _kind(destination: Destination) -> Kind:
    kinds: dict[type[Destination], Kind] = {
        LoadBalancer: Kind.LOAD_BALANCER, Annotations: Kind.ANNOTATE, Notification: Kind.NOTIFY, Cost: Kind.COST
    }  # fmt: skip
    return kinds[type(destination)]
