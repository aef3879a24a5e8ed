"""What every reader takes from a record: its JSON, texts, counts and times, each within limits.

The readers of this package call it. The limits keep one odd record from costing others: a name
that is too long for a routing key, a number no state can hold, a label that fills a whole pack.
Each refusal is an `UnreadableError` that names the field. It never guesses and never cuts.
"""

from collections.abc import Container, Mapping
from typing import Any, Final, TypeVar

import msgspec

from app.wire.rules import LARGEST, Raw, Rules, UnreadableError
from app.wire.times import milliseconds

TIMES: Final = ("timestamp", "time", "ts", "at")
"""Fields that may hold a message's own time; the first of them that is there counts."""

NAME_BYTES: Final = 200
"""Longest service, host or metric name in UTF-8: RabbitMQ's routing keys end at 255 bytes."""

TEXT_BYTES: Final = 10_000
"""Longest other text."""

LARGEST_COUNT: Final = 2**53
"""Largest whole number: what every JSON reader holds exactly."""

T = TypeVar("T")


def decoded(decoder: msgspec.json.Decoder[T], raw: Raw) -> T:
    """The record's JSON as the decoder has it, or UnreadableError."""
    value = raw.value
    if not value or len(value) > LARGEST:
        raise _not_read(value)
    try:
        return decoder.decode(value)
    except msgspec.ValidationError as error:
        raise UnreadableError(f"the message is not as it should be: {error}") from None
    except msgspec.DecodeError as error:
        raise UnreadableError(f"the message is not JSON: {error}") from None
    except UnicodeDecodeError:
        raise UnreadableError("the message is not JSON: a text in it is not UTF-8") from None
    except RecursionError:
        raise UnreadableError("the message is nested too deeply") from None


def _not_read(value: bytes | None) -> UnreadableError:
    """What is wrong with a record that has nothing to read, or too much."""
    if value is None:
        return UnreadableError("the record is a tombstone: it has no value")
    if not value:
        return UnreadableError("the record is empty")
    return UnreadableError(f"the record has {len(value)} bytes, and at most {LARGEST} are read")


def text(message: Mapping[str, Any], field: str, most: int = TEXT_BYTES) -> str:
    """A text of at most so many bytes, empty where there is none."""
    value = message.get(field, "")
    if not isinstance(value, str):
        raise UnreadableError(f"{field!r} is {what(value)}, not a text")
    return within(value, field, most)


def needed(message: Mapping[str, Any], field: str, most: int = TEXT_BYTES) -> str:
    """A text that must be there."""
    value = text(message, field, most)
    if not value:
        raise UnreadableError(f"the message has no {field!r}")
    return value


def within(value: str, field: str, most: int = NAME_BYTES) -> str:
    """The text itself if it has at most so many bytes in UTF-8."""
    # a character has at most four bytes: short texts, nearly all, need not be encoded to be measured
    if len(value) * 4 > most and (size := len(value.encode())) > most:
        raise UnreadableError(f"{field!r} has {size} bytes, and at most {most} are taken")
    return value


def count(value: int, field: str, least: int = 0) -> int:
    """The whole number itself if it is neither too small nor too large to be one."""
    if not least <= value <= LARGEST_COUNT:
        raise UnreadableError(f"{field!r} is not a count from {least} to {LARGEST_COUNT}")
    return value


def at_ms(given: object, raw: Raw, rules: Rules) -> int:
    """Milliseconds of a given time, or of the record where none is given; not too far ahead of now."""
    found = raw.timestamp_ms if given is None else milliseconds(given)
    if found > rules.now_ms + rules.future_ms:
        ahead_s = (found - rules.now_ms) / 1000
        raise UnreadableError(
            f"the time is {ahead_s:.0f} s ahead of Kafka's clock, and at most {rules.future_ms / 1000:.0f} s are taken"
        )
    return found


def time_field(fields: Container[str]) -> str | None:
    """Which of the fields of a message holds its time; None where none does."""
    return next((field for field in TIMES if field in fields), None)


def time_of(message: Mapping[str, Any]) -> object:
    """The time that a message gives, None where it gives none."""
    field = time_field(message)
    return None if field is None else message[field]


def what(value: object) -> str:
    """What a JSON value is, in words."""
    words = {dict: "an object", list: "an array", str: "a text", bool: "true or false", type(None): "null"}
    return words.get(type(value), "a number")
