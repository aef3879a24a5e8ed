"""`headrace send`: samples, a deploy, or lines of a file, to the topics that the intake reads.

It writes what any agent could write: plain JSON, one message each. What is right about it is for
the intake to judge, except for JSON that is none.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from app.cli import author as authors
from app.cli.errors import Failure
from app.settings import settings
from app.stream import client


def send(
    service: str = typer.Argument("", help="Name of the service."),
    values: list[str] | None = typer.Argument(None, help="Samples, as name=number."),
    host: str = typer.Option("", help="The instance that they are of."),
    deploy: str = typer.Option("", metavar="VERSION", help="Send a deploy of this version instead."),
    environment: str = typer.Option("", help="Where the deploy went, like production."),
    file: Path | None = typer.Option(
        None, help="Send the JSON lines of a file, each to the topic of its kind; - is stdin."
    ),
) -> None:
    """Send samples (`headrace send web cpu=92 --host web-03`), a deploy, or a file of JSON lines."""
    if file is not None:
        if service or deploy:
            raise typer.BadParameter("--file says it all; leave out the service and --deploy")
        outgoing = list(_from_file(file))
    elif not service:
        raise typer.BadParameter("name a service with its samples, or a --file")
    elif deploy:
        event = {"type": "deployed", "service": service, "version": deploy, "who": authors.default()}
        outgoing = [_outgoing(event | ({"environment": environment} if environment else {}))]
    else:
        outgoing = [_outgoing({"service": service} | ({"host": host} if host else {}) | _samples(values or []))]
    sent = client.send(settings(), outgoing)
    for topic in sorted({topic for topic, _, _ in sent}):
        typer.echo(f"sent {sum(topic == one[0] for one in sent)} to {topic}")


def kind_of(message: Any) -> str:
    """Which kind of topic a message belongs on: `events`, `instances` or `metrics`."""
    first = message[0] if isinstance(message, list) and message else message
    if isinstance(first, dict):
        if "type" in first or "specversion" in first or "context" in first:
            return "events"
        if "wanted" in first or "instances" in first:
            return "instances"
    return "metrics"


def _samples(values: list[str]) -> dict[str, float]:
    if not values:
        raise typer.BadParameter("give at least one sample, as name=number, or --deploy VERSION")
    found = {}
    for text in values:
        name, sign, number = text.partition("=")
        try:
            found[name] = float(number)
        except ValueError:
            sign = ""
        if not sign or not name:
            raise typer.BadParameter(f"{text!r} is no sample; write name=number, like cpu=92")
    return found


def _from_file(file: Path) -> Iterator[client.Outgoing]:
    text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                message = json.loads(line)
            except ValueError as error:
                raise Failure(f"{file}:{number} is no JSON ({error}); nothing was sent") from error
            yield _outgoing(message)


def _outgoing(message: Any) -> client.Outgoing:
    kind = kind_of(message)
    topic = next((name for name, what in settings().sources.items() if what == kind), None)
    if topic is None:
        raise Failure(f"no topic of {kind} is read; set HEADRACE_{kind.upper().removesuffix('S')}_TOPICS")
    key = message.get("service") if isinstance(message, dict) else None
    return client.Outgoing(topic, json.dumps(message).encode(), key.encode() if isinstance(key, str) else None)
