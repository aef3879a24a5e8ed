"""Deploys and changes: plain JSON, CDEvents, and either of them within a CloudEvent.

    {"type": "deployed", "service": "web", "version": "1.4.2", "environment": "prod", "who": "ann"}
    {"type": "config_changed", "service": "web", "what": "timeout 5s", "who": "ann"}
    {"context": {"type": "dev.cdevents.service.deployed.0.2.0", …}, "subject": {…}}
    {"specversion": "1.0", "type": "dev.cdevents.…", "data": {"context": …, "subject": …}}
    {"specversion": "1.0", "type": "deployed", "time": "…", "data": {"service": "web"}}

A CDEvents type is matched without its version. An unknown type is refused, never ignored.
`read` calls it.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from app.policy.facts import Change, Deploy, Phase, Source
from app.wire.fields import NAME_BYTES, at_ms, decoded, needed, text, time_of, what
from app.wire.rules import Raw, Rules, UnreadableError

PHASES: Final = {
    "deploy_started": Phase.STARTED,
    "deployed": Phase.FINISHED,
    "deploy_failed": Phase.FAILED,
    "rolled_back": Phase.ROLLED_BACK,
    "pod_started": Phase.POD_STARTED,
}
"""Plain types of deploys."""

CHANGES: Final = frozenset({"config_changed", "flag_changed", "infrastructure_changed"})
"""Plain types of changes."""

CDEVENTS: Final = {
    "service.deployed": Phase.FINISHED,
    "service.upgraded": Phase.FINISHED,
    "service.rolledback": Phase.ROLLED_BACK,
}
"""CDEvents' subject and verb → phase."""

_decoder = msgspec.json.Decoder()


def event(raw: Raw, source: Source, rules: Rules) -> Deploy | Change:
    """The fact in a record, or UnreadableError."""
    message = decoded(_decoder, raw)
    if not isinstance(message, dict):
        raise UnreadableError(f"an event must be a JSON object, not {what(message)}")
    if "specversion" in message:
        message = _unwrapped(message)
    if isinstance(message.get("context"), dict):
        return _cdevent(message, raw, source, rules)
    kind = needed(message, "type")
    if kind not in PHASES and kind not in CHANGES:
        raise UnreadableError(
            f"the event's type {kind!r} is not known; known are {', '.join(sorted({*PHASES, *CHANGES}))}"
        )
    service = needed(message, "service", NAME_BYTES)
    at = at_ms(time_of(message), raw, rules)
    if kind in CHANGES:
        return Change(source, service, needed(message, "what"), at, text(message, "who"), text(message, "link"))
    return Deploy(
        source, service, PHASES[kind], at, text(message, "environment", NAME_BYTES), text(message, "version"),
        text(message, "who"), text(message, "link"),
    )  # fmt: skip


def _unwrapped(envelope: dict[str, Any]) -> dict[str, Any]:
    """The event within a CloudEvent; its type and time are the envelope's where it has none itself."""
    data = envelope.get("data")
    if not isinstance(data, dict):
        raise UnreadableError(f"the 'data' of a CloudEvent must be a JSON object, not {what(data)}")
    time = {"time": envelope["time"]} if "time" in envelope and time_of(data) is None else {}
    return {"type": envelope.get("type", ""), **data, **time}


def _cdevent(message: Mapping[str, Any], raw: Raw, source: Source, rules: Rules) -> Deploy:
    context = message["context"]
    kind = needed(context, "type")
    parts = kind.split(".")
    phase = CDEVENTS.get(".".join(parts[2:4])) if parts[:2] == ["dev", "cdevents"] else None
    if phase is None:
        raise UnreadableError(f"the CDEvents type {kind!r} is not known; known are {', '.join(CDEVENTS)}")
    subject = _object(message, "subject")
    content = _object(subject, "content")
    return Deploy(
        source,
        needed(subject, "id", NAME_BYTES),
        phase,
        at_ms(context.get("timestamp"), raw, rules),
        text(_object(content, "environment"), "id", NAME_BYTES),
        text(content, "artifactId"),
        "",
        text(context, "source"),
    )


def _object(message: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    value = message.get(field, {})
    if not isinstance(value, dict):
        raise UnreadableError(f"{field!r} is {what(value)}, not an object")
    return value
