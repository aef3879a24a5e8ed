"""Deploys and changes: plain JSON, CDEvents, and CDEvents within CloudEvents.

    {"type": "deployed", "service": "web", "version": "1.4.2", "environment": "prod", "who": "ann"}
    {"type": "config_changed", "service": "web", "what": "timeout 5s", "who": "ann"}
    {"context": {"type": "dev.cdevents.service.deployed.0.2.0", …}, "subject": {…}}
    {"specversion": "1.0", "type": "dev.cdevents.…", "data": {"context": …, "subject": …}}

A CDEvents type is matched without its version. An unknown type is refused, never ignored.
"""

from typing import Any, Final

import msgspec

from app.policy.facts import Change, Deploy, Phase, Source
from app.wire.metrics import TIMES
from app.wire.rules import Raw, Rules, UnreadableError
from app.wire.times import milliseconds

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
    assert raw.value is not None
    try:
        message = _decoder.decode(raw.value)
    except msgspec.DecodeError as error:
        raise UnreadableError(f"the message is not JSON: {error}") from None
    if not isinstance(message, dict):
        raise UnreadableError("an event must be a JSON object")
    if "specversion" in message and isinstance(message.get("data"), dict):
        message = message["data"]
    if isinstance(message.get("context"), dict):
        return _cdevent(message, raw, source, rules)
    kind = message.get("type")
    at_ms = _time(next((message[name] for name in TIMES if name in message), None), raw, rules)
    service = _needed(message, "service")
    if kind in CHANGES:
        return Change(source, service, _needed(message, "what"), at_ms, _text(message, "who"), _text(message, "link"))
    if kind not in PHASES:
        raise UnreadableError(
            f"the event's type {kind!r} is not known; known are {', '.join(sorted({*PHASES, *CHANGES}))}"
        )
    return Deploy(
        source, service, PHASES[kind], at_ms, _text(message, "environment"), _text(message, "version"),
        _text(message, "who"), _text(message, "link"),
    )  # fmt: skip


def _cdevent(message: dict[str, Any], raw: Raw, source: Source, rules: Rules) -> Deploy:
    context = message["context"]
    subject = message.get("subject")
    kind = context.get("type")
    parts = kind.split(".") if isinstance(kind, str) else []
    phase = CDEVENTS.get(".".join(parts[2:4])) if parts[:2] == ["dev", "cdevents"] else None
    if phase is None or not isinstance(subject, dict):
        raise UnreadableError(f"the CDEvents type {kind!r} is not known; known are {', '.join(CDEVENTS)}")
    content = subject.get("content")
    content = content if isinstance(content, dict) else {}
    environment = content.get("environment")
    return Deploy(
        source,
        _needed(subject, "id"),
        phase,
        _time(context.get("timestamp"), raw, rules),
        _text(environment, "id") if isinstance(environment, dict) else "",
        _text(content, "artifactId"),
        "",
        _text(context, "source"),
    )


def _time(given: object, raw: Raw, rules: Rules) -> int:
    at_ms = raw.timestamp_ms if given is None else milliseconds(given)
    if at_ms > rules.now_ms + rules.future_ms:
        raise UnreadableError(f"the event is {(at_ms - rules.now_ms) / 1000:.0f} s ahead of the clock")
    return at_ms


def _text(message: dict[str, Any], name: str) -> str:
    value = message.get(name, "")
    if not isinstance(value, str):
        raise UnreadableError(f"{name!r} is not a text")
    return value


def _needed(message: dict[str, Any], name: str) -> str:
    value = _text(message, name)
    if not value:
        raise UnreadableError(f"the event has no {name!r}")
    return value
