"""CDEvents as our plain events: https://cdevents.dev, the context and subject of one record.

A type is matched without its version, which is its last three parts. CDEvents have no word for an
instance that starts: the custom type `dev.cdeventsx.<tool>-pod.started` is taken for it, as its
specification provides. `app.wire.events` calls it.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from app.wire.fields import needed, text, what
from app.wire.rules import UnreadableError

Plain = dict[str, Any]

DEPLOYS: Final = {
    "service.deployed": "deployed",
    "service.upgraded": "deployed",
    "service.rolledback": "rolled_back",
    "service.removed": "removed",
    "pod.started": "pod_started",
    "pod.stopped": "pod_stopped",
}
"""CDEvents' subject and verb → plain type."""

ENVIRONMENTS: Final = frozenset({"environment.created", "environment.modified", "environment.deleted"})
"""What happens to an environment concerns every service."""

MERGED: Final = "change.merged"
"""A change that was merged: of the service that its repository is named after."""


def from_cdevent(message: Mapping[str, Any]) -> Plain:
    """A CDEvent as a plain event, or UnreadableError."""
    context = message["context"]
    kind = _kind(needed(context, "type"))
    subject = object_of(message, "subject")
    content = object_of(subject, "content")
    plain: Plain = {name: text(context, name) for name in ("id", "source")}
    plain["link"] = text(content, "url") or text(content, "uri") or text(context, "source")
    if "timestamp" in context:
        plain["time"] = context["timestamp"]
    return plain | _READERS[kind](kind, subject, content)


def _kind(given: str) -> str:
    """Subject and verb of a type: `service.deployed` of `dev.cdevents.service.deployed.0.2.0`."""
    parts = given.split(".")
    if parts[:2] == ["dev", "cdevents"]:
        kind = ".".join(parts[2:4])
    elif parts[:2] == ["dev", "cdeventsx"] and len(parts) > 3:
        kind = f"{parts[2].rpartition('-')[2]}.{parts[3]}"
    else:
        kind = ""
    if kind not in _READERS:
        raise UnreadableError(f"the CDEvents type {given!r} is not known; known are {', '.join(sorted(_READERS))}")
    return kind


def _deploy(kind: str, subject: Mapping[str, Any], content: Mapping[str, Any]) -> Plain:
    """A service's event, or an instance's, whose service is in its content."""
    plain: Plain = {
        "type": DEPLOYS[kind],
        "environment": text(object_of(content, "environment"), "id"),
        "version": text(content, "version") or text(content, "artifactId"),
    }
    if kind.startswith("pod."):
        return plain | {
            "service": text(object_of(content, "service"), "id"),
            "pod": needed(subject, "id"),
            "address": text(content, "address"),
        }
    return plain | {"service": needed(subject, "id")}


def _environment(kind: str, subject: Mapping[str, Any], content: Mapping[str, Any]) -> Plain:
    name = needed(subject, "id")
    said = f"environment {name} {kind.partition('.')[2]}"
    return {
        "type": "infrastructure_changed", "service": "*", "environment": name,
        "what": f"{said} ({text(content, 'name')})" if text(content, "name") else said,
    }  # fmt: skip


def _merged(_: str, subject: Mapping[str, Any], content: Mapping[str, Any]) -> Plain:
    repository = text(object_of(content, "repository"), "id")
    if not repository:
        raise UnreadableError("a merged change needs subject.content.repository.id: it names the service")
    # `owner/name`, an address of it, or a plain name
    name = repository.rstrip("/").rpartition("/")[2].removesuffix(".git")
    return {"type": "config_changed", "service": name, "what": f"change {needed(subject, 'id')} merged"}


def object_of(message: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    """An object, empty where there is none."""
    value = message.get(field, {})
    if not isinstance(value, dict):
        raise UnreadableError(f"{field!r} is {what(value)}, not an object")
    return value


_READERS: Final[Mapping[str, Callable[[str, Mapping[str, Any], Mapping[str, Any]], Plain]]] = {
    **dict.fromkeys(DEPLOYS, _deploy),
    **dict.fromkeys(ENVIRONMENTS, _environment),
    MERGED: _merged,
}
