"""`headrace router`: run the router alone, or show what it would send. Parses and prints; `app.router` is the router.

With `--dry-run` nothing is published and nothing is committed: decisions are read from where the router's group has
committed, by a consumer that is in no group, and made into messages as the router makes them.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

import msgspec
import typer

from app.cli.printing import OUTPUT, Output, json_line, remark, table
from app.history.words import moment
from app.policy.decision import Decision, decode
from app.queue.message import Outgoing, outgoing
from app.settings import Settings, settings
from app.stream import client
from app.stream.topics import DECISIONS
from tasks.contract import EXCHANGE

GROUP = "router"
"""The consumer group whose commits say what was sent."""
SHOWN = 1000
"""Messages that are shown at most, unless more are asked for."""


class Waiting(NamedTuple):
    """A message that would be sent, and the decision it is of."""

    decision: Decision
    message: Outgoing


def router(
    dry_run: bool = typer.Option(False, "--dry-run", help="Show what would be sent now; send and commit nothing."),
    last: int = typer.Option(SHOWN, "--limit", "-n", min=1, help="With --dry-run: the most messages to show."),
    output: Output = OUTPUT,
) -> None:
    """Run the router alone; or show what is decided and not sent yet, oldest first of each partition."""
    if not dry_run:
        os.execv(sys.executable, [sys.executable, "-m", "faust", "-A", "app.router", "worker", "-l", "info"])  # noqa: S606
    config = settings()
    found, shown, read = waiting(config), [], 0
    for one in found:
        read += 1
        if read <= last:
            shown.append(one)
    if output is Output.JSON:
        for one in shown:
            json_line(_plain(one))
    else:
        rows = [
            [moment(one.decision.at_ms), one.message.kind, one.decision.service, one.message.id, EXCHANGE, key]
            for one in shown
            for key in [one.message.routing_key]
        ]
        table(["at (UTC)", "kind", "service", "id", "exchange", "routing key"], rows)
    more = f", {read - last} of them not shown" if read > last else ""
    remark(f"{read} messages would be sent now{more}; nothing was sent or committed")


def waiting(config: Settings) -> Iterator[Waiting]:
    """What the router would send: everything that is decided past its commits, as it stands now."""
    low, high = client.borders(config, DECISIONS)
    done = client.committed(config, GROUP, DECISIONS)
    start = {partition: max(first, done.get(partition, first)) for partition, first in low.items()}
    for record in client.read_topic(config, DECISIONS, start, high):
        with suppress(msgspec.MsgspecError):  # the router logs what is no decision, and sends nothing of it
            decision = decode(record.value or b"")
            yield from (Waiting(decision, message) for message in outgoing(decision))


def _plain(one: Waiting) -> dict[str, object]:
    message = one.message
    return {
        "id": message.id,
        "kind": message.kind,
        "service": one.decision.service,
        "decision": one.decision.id,
        "at_ms": one.decision.at_ms,
        "exchange": EXCHANGE,
        "routing_key": message.routing_key,
        "mandatory": message.mandatory,
        "body": msgspec.json.decode(message.body),
    }
