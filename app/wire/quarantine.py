"""Records that could not be read, as they are kept: with the reason, the place and the bytes.

`read` makes them, the intake writes them, `headrace quarantine` lists them. Nothing here judges.
"""

import hashlib
from typing import Final

import msgspec

from app.wire.rules import Raw

KEPT: Final = 64_000
"""Bytes of a record that are kept; size and hash tell the rest."""


REASON: Final = 500
"""Characters of a reason that are kept: it may quote the record."""


class Quarantined(msgspec.Struct, frozen=True):
    """One record in quarantine. `value` is cut to 64 kB, `size` and `sha256` are of the whole."""

    topic: str
    topic_id: str
    partition: int
    offset: int
    timestamp_ms: int
    reason: str
    size: int
    sha256: str
    value: bytes
    cut: bool

    def encode(self) -> bytes:
        """JSON, the value in base64."""
        return msgspec.json.encode(self)


def quarantined(raw: Raw, reason: str) -> Quarantined:
    """A record put aside for a reason, which is a sentence on what is wrong with it."""
    value = raw.value or b""
    if len(reason) > REASON:
        reason = reason[:REASON] + "…"
    return Quarantined(
        raw.topic, raw.topic_id, raw.partition, raw.offset, raw.timestamp_ms, reason,
        len(value), hashlib.sha256(value).hexdigest(), value[:KEPT], len(value) > KEPT,
    )  # fmt: skip


def decode(raw: bytes) -> Quarantined:
    """A record of the quarantine topic; raises `msgspec.MsgspecError`."""
    return msgspec.json.decode(raw, type=Quarantined)
