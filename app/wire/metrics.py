"""Metrics: plain JSON messages of monitoring agents, one or an array of them.

    {"host": "web-03", "cpu": 92}
    {"service": "web", "timestamp": 1700000000, "labels": {"zone": "a"}, "cpu": 92, "rps": 120.5}
    {"service": "web", "host": "web-03", "ts": "2026-11-28T02:00:00Z", "values": {"cpu": 92}}
    {"service": "web", "name": "cpu", "value": 92}

The service is named, or found in the host by the configured pattern. The time is the message's,
else the record's. Every other field that is a number is a sample, of the field's name. `host` and
`labels` make the series. A field that is neither is refused: a slip would otherwise be silence.
"""

from collections.abc import Iterator
from math import isfinite
from typing import Any, Final, NamedTuple

import msgspec

from app.policy.facts import Series
from app.wire.rules import Raw, Rules, UnreadableError
from app.wire.times import milliseconds

TIMES: Final = ("timestamp", "time", "ts", "at")
_KNOWN: Final = frozenset({"service", "host", "labels", "values", "name", "value", *TIMES})
_decoder = msgspec.json.Decoder()


class Sample(NamedTuple):
    """One sample of a record. `key` names its series: service, metric, labels."""

    key: tuple[str, str, tuple[tuple[str, str], ...]]
    at_ms: int
    value: float


def samples(raw: Raw, rules: Rules) -> list[Sample]:
    """All samples of a record, or UnreadableError: a record is taken whole or not at all."""
    assert raw.value is not None
    try:
        decoded = _decoder.decode(raw.value)
    except msgspec.DecodeError as error:
        raise UnreadableError(f"the message is not JSON: {error}") from None
    messages = decoded if isinstance(decoded, list) else [decoded]
    found = [sample for message in messages for sample in _of_message(message, raw, rules)]
    if not found:
        raise UnreadableError("the message holds no sample")
    return found


def series_of(key: tuple[str, str, tuple[tuple[str, str], ...]]) -> Series:
    """The series that a sample's key names."""
    return Series(key[0], key[1], dict(key[2]))


def _of_message(message: Any, raw: Raw, rules: Rules) -> Iterator[Sample]:
    if not isinstance(message, dict):
        raise UnreadableError(f"a message must be a JSON object, not {_kind(message)}")
    host = _text(message, "host")
    service = _text(message, "service") or _service_of(host, rules)
    at_ms = _time(message, raw, rules)
    labels = _labels(message, host)
    for name, value in _values(message):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UnreadableError(f"{name!r} is {_kind(value)}, and a sample must be a number")
        if not isfinite(value):
            raise UnreadableError(f"{name!r} is not a finite number")
        yield Sample((service, name, labels), at_ms, float(value))


def _values(message: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Name and value of each sample, wherever the message has them."""
    if "value" in message:
        name = _text(message, "name")
        if not name:
            raise UnreadableError("the message has a value and no name of a metric")
        yield name, message["value"]
    values = message.get("values", {})
    if not isinstance(values, dict):
        raise UnreadableError(f"'values' is {_kind(values)}, not an object of names and numbers")
    yield from values.items()
    for name, value in message.items():
        if name not in _KNOWN:
            yield name, value


def _service_of(host: str, rules: Rules) -> str:
    if not host:
        raise UnreadableError("the message names neither a service nor a host")
    match = rules.service_pattern.search(host)
    service = match.groupdict().get("service") if match else None
    if not service:
        raise UnreadableError(f"no service is found in the host {host!r} by {rules.service_pattern.pattern}")
    return service


def _time(message: dict[str, Any], raw: Raw, rules: Rules) -> int:
    given = next((message[name] for name in TIMES if name in message), None)
    at_ms = raw.timestamp_ms if given is None else milliseconds(given)
    if at_ms > rules.now_ms + rules.future_ms:
        raise UnreadableError(f"the sample is {(at_ms - rules.now_ms) / 1000:.0f} s ahead of the clock")
    return at_ms


def _labels(message: dict[str, Any], host: str) -> tuple[tuple[str, str], ...]:
    labels = message.get("labels", {})
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise UnreadableError("'labels' is not an object of texts")
    return tuple(sorted((labels | {"host": host} if host else labels).items()))


def _text(message: dict[str, Any], name: str) -> str:
    value = message.get(name, "")
    if not isinstance(value, str):
        raise UnreadableError(f"{name!r} is {_kind(value)}, not a text")
    return value


def _kind(value: object) -> str:
    names = {dict: "an object", list: "an array", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
