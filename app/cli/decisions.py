"""`headrace decisions`: list and follow decisions and refusals, as they stand on their topic."""

from collections.abc import Callable

import typer
from rich.text import Text

from app.cli.printing import OUTPUT, Output, console, raw, table
from app.history.explain import what
from app.history.replay import identity
from app.history.words import moment
from app.policy.decision import SENTENCES, Decision, decode
from app.policy.facts import partition_of
from app.settings import Settings, settings
from app.stream import client
from app.stream.topics import DECISIONS


def decisions(
    follow: bool = typer.Option(False, "--follow", "-f", help="Go on with those to come, until Ctrl-C."),
    service: str = typer.Option("", help="Only those of one service."),
    last: int = typer.Option(20, "--last", "-n", min=0, help="How many of the past ones."),
    actions: bool = typer.Option(False, "--actions", help="Leave out refusals."),
    output: Output = OUTPUT,
) -> None:
    """List decisions and refusals, oldest first; in JSON exactly as they were recorded."""
    config = settings()
    wanted = _filter(config, service, actions)
    _, end = client.borders(config, DECISIONS)
    past = client.tail(config, DECISIONS, last, wanted) if last else []
    if output is Output.JSON:
        for message in past:
            raw(message.value or b"")
    elif past or not follow:
        rows = [row(decode(message.value or b"")) for message in past]
        table(["at (UTC)", "decision", "service", "policy", "action", "why"], rows)
    if not follow:
        return
    for message in client.follow(config, DECISIONS, end):
        if wanted(message):
            _print(message.value or b"", output)


def row(decision: Decision) -> list[object]:
    """The cells of a decision in a table."""
    style = "dim" if decision.action is None else "yellow" if decision.shadow else "green"
    done = what(decision.action) + (" (shadow)" if decision.shadow else "")
    return [
        moment(decision.at_ms),
        decision.id,
        decision.service,
        decision.policy,
        Text(done, style),
        Text(f"{decision.reason}: {SENTENCES[decision.reason]}", style),
    ]


def _print(value: bytes, output: Output) -> None:
    if output is Output.JSON:
        raw(value)
    else:
        cells = row(decode(value))
        console().print(Text("  ").join(cell if isinstance(cell, Text) else Text(str(cell)) for cell in cells))


def _filter(config: Settings, service: str, actions: bool) -> Callable[[client.Message], bool]:
    """Whether a record is one that was asked for."""
    partition = partition_of(service, client.partitions_of(config, DECISIONS)) if service else -1

    def wanted(message: client.Message) -> bool:
        if not message.value or (service and message.partition != partition):
            return False
        if service and identity(message.value).service != service:
            return False
        return not actions or decode(message.value).action is not None

    return wanted
