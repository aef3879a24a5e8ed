"""Deploys and changes: plain JSON, CDEvents, and either of them within a CloudEvent.

    {"type": "deployed", "service": "web", "version": "1.4.2", "environment": "prod", "who": "ann"}
    {"type": "pod_started", "service": "web", "pod": "web-7", "address": "10.0.0.7:8080"}
    {"type": "config_changed", "service": "web", "what": "timeout 5s", "who": "ann"}
    {"context": {"type": "dev.cdevents.service.deployed.0.2.0", …}, "subject": {…}}
    {"specversion": "1.0", "type": "dev.cdevents.…", "data": {"context": …, "subject": …}}
    {"specversion": "1.0", "type": "deployed", "time": "…", "data": {"service": "web"}}

An unknown type is refused, never ignored. An event without an id of its own is known by its
content: the same bytes twice are one event. `read` calls it, and the gateway before it accepts one.
"""

import hashlib
import ipaddress
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from app.policy.facts import Change, Deploy, Phase, Source
from app.wire.cdevents import from_cdevent
from app.wire.fields import NAME_BYTES, at_ms, decoded, needed, text, time_of, what
from app.wire.rules import Raw, Rules, UnreadableError

PHASES: Final = {
    "deploy_started": Phase.STARTED,
    "deployed": Phase.FINISHED,
    "deploy_failed": Phase.FAILED,
    "rolled_back": Phase.ROLLED_BACK,
    "pod_started": Phase.POD_STARTED,
    "pod_stopped": Phase.POD_STOPPED,
    "removed": Phase.REMOVED,
}
"""Plain types of deploys."""

CHANGES: Final = frozenset({"config_changed", "flag_changed", "infrastructure_changed"})
"""Plain types of changes; their service may be `*`, which is every one."""

_decoder = msgspec.json.Decoder()


def event(raw: Raw, source: Source, rules: Rules) -> Deploy | Change:
    """The fact in a record, or UnreadableError."""
    message = decoded(_decoder, raw)
    if not isinstance(message, dict):
        raise UnreadableError(f"an event must be a JSON object, not {what(message)}")
    if "specversion" in message:
        message = _unwrapped(message)
    if isinstance(message.get("context"), dict):
        message = from_cdevent(message)
    kind = needed(message, "type")
    if kind not in PHASES and kind not in CHANGES:
        raise UnreadableError(
            f"the event's type {kind!r} is not known; known are {', '.join(sorted({*PHASES, *CHANGES}))}"
        )
    if kind in CHANGES:
        return _change(kind, message, raw, source, rules)
    return _deploy(PHASES[kind], message, raw, source, rules)


def _change(kind: str, message: Mapping[str, Any], raw: Raw, source: Source, rules: Rules) -> Change:
    return Change(
        source,
        needed(message, "service", NAME_BYTES),
        needed(message, "what"),
        at_ms(time_of(message), raw, rules),
        text(message, "who"),
        text(message, "link"),
        _event_id(message, raw),
        kind,
        text(message, "environment", NAME_BYTES),
    )


def _deploy(phase: Phase, message: Mapping[str, Any], raw: Raw, source: Source, rules: Rules) -> Deploy:
    service = needed(message, "service", NAME_BYTES)
    if service == "*":
        raise UnreadableError("a deploy is of one service, not of `*`")
    return Deploy(
        source,
        service,
        phase,
        at_ms(time_of(message), raw, rules),
        text(message, "environment", NAME_BYTES),
        text(message, "version", NAME_BYTES),
        text(message, "who", NAME_BYTES),
        text(message, "link"),
        _event_id(message, raw),
        text(message, "commit", NAME_BYTES),
        text(message, "team", NAME_BYTES),
        text(message, "pod", NAME_BYTES),
        _address(message),
    )


def _event_id(message: Mapping[str, Any], raw: Raw) -> str:
    """What repeats of an event have in common: its id with its sender, or else its content."""
    given = text(message, "id", NAME_BYTES)
    if given:
        return f"{text(message, 'source')}#{given}"
    return hashlib.sha256(raw.value or b"").hexdigest()[:24]


def _address(message: Mapping[str, Any]) -> str:
    """The address of an instance, `IP:port`, as a load balancer takes it."""
    given = text(message, "address", NAME_BYTES)
    if not given:
        return ""
    host, _, port = given.rpartition(":")
    try:
        ip = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        ip = None
    number = int(port) if port.isascii() and port.isdecimal() and len(port) < 6 else 0
    # a zone (`fe80::1%…`) may hold any text, and no balancer can send to all addresses or to many at once
    usable = ip is not None and "%" not in host and not ip.is_unspecified and not ip.is_multicast
    if ip is None or not usable or not 0 < number < 65536:
        raise UnreadableError(f"'address' is {given!r}, not an IP address and a port like 10.0.0.7:8080")
    return f"[{ip}]:{number}" if ip.version == 6 else f"{ip}:{number}"


def _unwrapped(envelope: dict[str, Any]) -> dict[str, Any]:
    """The event within a CloudEvent; its type, time, id and source are the envelope's where it has none itself."""
    data = envelope.get("data")
    if not isinstance(data, dict):
        raise UnreadableError(f"the 'data' of a CloudEvent must be a JSON object, not {what(data)}")
    time = {"time": envelope["time"]} if "time" in envelope and time_of(data) is None else {}
    words = {name: envelope.get(name, "") for name in ("type", "id", "source")}
    return {**words, **data, **time}
