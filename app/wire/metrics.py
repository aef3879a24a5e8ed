"""Metrics: plain JSON messages of monitoring agents, one or an array of them.

    {"host": "web-03", "cpu": 92}
    {"service": "web", "timestamp": 1700000000, "labels": {"zone": "a"}, "cpu": 92, "rps": 120.5}
    {"service": "web", "host": "web-03", "ts": "2026-11-28T02:00:00Z", "values": {"cpu": 92}}
    {"service": "web", "name": "cpu", "value": 92}

The service is named, or found in the host by the configured pattern. The time is the message's,
else the record's. Every other field must be a number, and is a sample of the field's name; `host`
and `labels` make the series. A text or a boolean outside `labels` is refused with the whole record:
taken as a label it would turn a number sent as text into silence, and split the series as well.

`read` calls it. It never takes a part of a record.
"""

from functools import lru_cache
from re import Pattern
from typing import Any, Final

import msgspec

from app.policy.facts import Series
from app.wire.fields import NAME_BYTES, TIMES, at_ms, decoded, needed, time_field, what, within
from app.wire.rules import Raw, Rules, UnreadableError

MOST_SAMPLES: Final = 10_000
"""Most samples of one record."""

LABELS_BYTES: Final = 4_000
"""Most bytes of all labels of a series."""

LARGEST_VALUE: Final = 1e100
"""Largest value: nothing measures more, and sums and ratios of it are still numbers."""

REMEMBERED: Final = 100_000
"""Most series, and most senders, that are remembered as they were read: at some 300 bytes each."""

_BELOW: Final = frozenset({"values", "value"})
_KNOWN: Final = frozenset({"service", "host", "labels", "name", *_BELOW, *TIMES})
_decoder = msgspec.json.Decoder()
_encode = msgspec.json.Encoder().encode

Labels = tuple[tuple[str, str], ...]
"""Names and values in the order of the names."""


class Sender:
    """A service and labels, as messages name them. Remembered, and compared by identity: so it costs no hash."""

    __slots__ = ("labels", "service")

    def __init__(self, service: str, labels: Labels) -> None:
        self.service = service
        self.labels = labels


class Measured:
    """A series, and its size in bytes as JSON. Compared by identity too: two of one series say the same."""

    __slots__ = ("series", "size")

    def __init__(self, series: Series) -> None:
        self.series = series
        self.size = len(_encode(series))


Sample = tuple[Measured, int, float]
"""One sample: its series, its time in milliseconds, its value. A plain tuple, since there are so many."""


def samples(raw: Raw, rules: Rules) -> list[Sample]:
    """All samples of a record, or UnreadableError: a record is taken whole or not at all."""
    message = decoded(_decoder, raw)
    found: list[Sample] = []
    for each in message if isinstance(message, list) else (message,):
        _take(each, raw, rules, found)
    if not found:
        raise UnreadableError("the message holds no sample: no field of it is a number")
    if len(found) > MOST_SAMPLES:
        raise UnreadableError(f"the message holds {len(found)} samples, and at most {MOST_SAMPLES} are taken")
    return found


@lru_cache(maxsize=REMEMBERED)
def _measured(sender: Sender, name: str) -> Measured:
    """What a sender has measured under a name."""
    return Measured(Series(sender.service, _name(name), dict(sender.labels)))


@lru_cache(maxsize=1000)
def _shape(fields: tuple[str, ...]) -> tuple[str | None, tuple[str, ...], bool]:
    """Of the fields that a message has: the one with its time, those that are samples, and whether more are below."""
    return time_field(fields), tuple(one for one in fields if one not in _KNOWN), not _BELOW.isdisjoint(fields)


def _take(message: Any, raw: Raw, rules: Rules, found: list[Sample]) -> None:
    if not isinstance(message, dict):
        raise UnreadableError(f"a message must be a JSON object, not {what(message)}")
    time, names, below = _shape(tuple(message))
    sender = _sender(message, rules.service_pattern)
    at = at_ms(None if time is None else message[time], raw, rules)
    for name in names:
        found.append((_measured(sender, name), at, _number(name, message[name])))  # noqa: PERF401 - few: it is faster
    if below:
        _take_below(message, sender, at, found)


def _take_below(message: dict[str, Any], sender: Sender, at: int, found: list[Sample]) -> None:
    if "value" in message:
        name = needed(message, "name", NAME_BYTES)
        found.append((_measured(sender, name), at, _number(name, message["value"])))
    if "values" in message:
        values = message["values"]
        if not isinstance(values, dict):
            raise UnreadableError(f"'values' is {what(values)}, not an object of names and numbers")
        for name, value in values.items():
            found.append((_measured(sender, name), at, _number(name, value)))


def _sender(message: dict[str, Any], pattern: Pattern[str]) -> Sender:
    """Whose samples a message has."""
    host = message.get("host", "")
    service = message.get("service", "")
    if not isinstance(host, str) or not isinstance(service, str):
        field = "service" if isinstance(host, str) else "host"
        raise UnreadableError(f"{field!r} is {what(message[field])}, not a text")
    if "labels" in message:
        named = _named(host, service, pattern)
        return _labelled(named.service, _labels(message["labels"], host))
    return _named(host, service, pattern)


_labelled = lru_cache(maxsize=REMEMBERED)(Sender)


@lru_cache(maxsize=REMEMBERED)
def _named(host: str, service: str, pattern: Pattern[str]) -> Sender:
    """The sender where the message has no labels: few, in as many messages as there are."""
    within(host, "host")
    if service:
        return Sender(within(service, "service"), (("host", host),) if host else ())
    if not host:
        raise UnreadableError("the message names neither a service nor a host")
    match = pattern.search(host)
    found = match.groupdict().get("service") if match else None
    if not found:
        raise UnreadableError(f"no service is found in the host {host!r} by {pattern.pattern}")
    return Sender(found, (("host", host),))


def _labels(labels: object, host: str) -> Labels:
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise UnreadableError("'labels' is not an object of texts")
    if host:
        labels = labels | {"host": host}
    within("".join((*labels, *labels.values())), "labels", LABELS_BYTES)
    return tuple(sorted(labels.items()))


def _number(name: str, value: object) -> float:
    if type(value) is not float and type(value) is not int:
        hint = "; a text belongs in 'labels'" if isinstance(value, str) else ""
        raise UnreadableError(f"{name!r} is {what(value)}, and a sample must be a number{hint}")
    if not -LARGEST_VALUE <= value <= LARGEST_VALUE:
        raise UnreadableError(f"{name!r} is larger than {LARGEST_VALUE:g}")
    return float(value)


def _name(name: str) -> str:
    if not name:
        raise UnreadableError("a sample has an empty name")
    return within(name, "name of a metric")
