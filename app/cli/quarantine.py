"""`headrace quarantine`: input that could not be read, with its reason, its place and its bytes."""

import msgspec
import typer

from app.cli.printing import OUTPUT, Output, raw, table
from app.history.words import moment
from app.settings import settings
from app.stream import client
from app.stream.topics import QUARANTINE
from app.wire.quarantine import Quarantined, decode

SHOWN = 60
"""Bytes of a record that a table shows."""


def quarantine(
    last: int = typer.Option(20, "--last", "-n", min=1, help="How many, the newest."),
    topic: str = typer.Option("", help="Only those of one topic."),
    output: Output = OUTPUT,
) -> None:
    """List input that could not be read, oldest first; in JSON with the value in base64."""
    found = client.tail(settings(), QUARANTINE, last, lambda message: topic in {"", _topic(message)})
    if output is Output.JSON:
        for message in found:
            raw(message.value or b"")
        return
    rows = [_row(decode(message.value)) for message in found if message.value]
    table(["at (UTC)", "record", "why", "bytes", "value"], rows)


def _topic(message: client.Message) -> str:
    try:
        return decode(message.value or b"").topic
    except msgspec.MsgspecError:
        return ""


def _row(one: Quarantined) -> list[str]:
    value = one.value[:SHOWN].decode(errors="replace")
    shown = "".join(letter if letter.isprintable() else "·" for letter in value)
    more = "…" if one.size > SHOWN else ""
    place = f"{one.topic}/{one.partition}/{one.offset}"
    return [moment(one.timestamp_ms), place, one.reason, str(one.size), shown + more]
