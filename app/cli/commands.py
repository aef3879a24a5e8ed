"""`headrace pause`, `resume`, `silence`, `unsilence`: a person's word on a service, written to the control topic."""

from shlex import quote
from typing import Any

import typer

from app.cli import author as authors
from app.cli.control import hand_over
from app.cli.times import duration_ms, now_ms
from app.policy.facts import Direction, Verb
from app.settings import settings
from app.wire.internal import CommandMessage

ALERT = typer.Option("*", "--alert", help="Name of the alert, or a glob; `*` is every one of the service's.")
SERVICE = typer.Argument(help="Name of the service, or a glob: `web`, `web-*`; `*` is all.")


def pause(
    service: str = SERVICE,
    reason: str = typer.Option(..., "--reason", "-r", help="Why, for those who read history."),
    last: str = typer.Option("", "--for", help="How long, like 30m; without it, until `headrace resume`."),
    direction: Direction = typer.Option(Direction.BOTH, "--direction", help="Pause only scaling up, or only down."),
    author: str | None = authors.AUTHOR,
) -> None:
    """Pause the scaling of a service, or one direction of it: decisions go on and are recorded as refusals."""
    until_ms = now_ms() + duration_ms(last) if last else 0
    _send(Verb.PAUSE, service, reason, author or authors.default(), until_ms, direction=direction)
    way = "" if direction is Direction.BOTH else f" {direction}"
    end = f" for {last}" if last else f"; end it with `headrace resume {quote(service)}`"
    typer.echo(f"scaling{way} of {service} is paused{end}")


def resume(
    service: str = SERVICE,
    reason: str = typer.Option("", "--reason", "-r", help="Why, for those who read history."),
    author: str | None = authors.AUTHOR,
) -> None:
    """End the pauses that were given in the same words, in both directions."""
    _send(Verb.RESUME, service, reason, author or authors.default(), 0)
    typer.echo(f"pauses of {service} end; one given in other words, like *, is ended by those")


def silence(
    service: str = SERVICE,
    alert: str = ALERT,
    reason: str = typer.Option(..., "--reason", "-r", help="Why, for those who read history."),
    last: str = typer.Option(..., "--for", help="How long, like 2h: a silence without an end is forgotten."),
    author: str | None = authors.AUTHOR,
) -> None:
    """Tell nobody of a service's alerts for a while: they go on and are recorded; what still fires then is told."""
    _send(Verb.SILENCE, service, reason, author or authors.default(), now_ms() + duration_ms(last), alert=alert)
    typer.echo(f"alerts {alert} of {service} are silenced for {last}")


def unsilence(
    service: str = SERVICE,
    alert: str = ALERT,
    reason: str = typer.Option("", "--reason", "-r", help="Why, for those who read history."),
    author: str | None = authors.AUTHOR,
) -> None:
    """End a silence before its time; service and alert as they were given to it."""
    _send(Verb.UNSILENCE, service, reason, author or authors.default(), 0, alert=alert)
    typer.echo(f"alerts {alert} of {service} are told again")


def _send(verb: Verb, service: str, reason: str, author: str, until_ms: int, **more: Any) -> None:
    hand_over(settings(), CommandMessage(verb, service, author, reason, now_ms(), until_ms, **more))
