"""What a reader of raw records is given: the record, and the rules of this installation."""

import re
from typing import NamedTuple

import msgspec


class Raw(msgspec.Struct, frozen=True, gc=False):
    """A record as it came from Kafka. `timestamp_ms` is the record's own time."""

    topic: str
    topic_id: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


class Rules(NamedTuple):
    """How to read: the journal's partitions, the service in a host name, how far ahead a sample may be, and now."""

    partitions: int
    service_pattern: re.Pattern[str]
    future_ms: int
    now_ms: int


class UnreadableError(Exception):
    """A record that cannot be taken; the text says what is wrong with it."""


LARGEST = 1_000_000
"""Bytes of the largest record that is read; a larger one goes to quarantine."""
