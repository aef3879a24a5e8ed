"""`headrace dead`: messages that were dead-lettered and parked. Parses and prints; `app.queue.parked` does the work."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import typer

from app.cli import author as authors
from app.cli import redrives
from app.cli.errors import Failure
from app.cli.printing import OUTPUT, Output, json_line, pairs, table
from app.history.words import moment
from app.policy.facts import Verb
from app.queue import parked
from app.queue.parked import MOST_REDRIVES, Letter
from app.settings import settings
from tasks.contract import PARKED_HEADER, Kind

dead = typer.Typer(
    help="Look at dead letters, send them again, drop them.", no_args_is_help=True, rich_markup_mode=None
)

IDS = typer.Argument(None, help="Ids as `headrace dead list` shows them.", show_default=False)
ALL = typer.Option(False, "--all", help="All of them, or all of the kind.")
KIND = typer.Option(None, "--kind", help="Only actions of one kind.")
LIMIT = typer.Option(100, "--limit", min=1, help="At most so many.")


@dead.command("list")
def list_(
    last: int = typer.Option(100, "--limit", "-n", min=1, help="How many, the oldest."),
    output: Output = OUTPUT,
) -> None:
    """List what is parked, oldest first: what died, where and why."""
    found = parked.look(settings(), last)
    if output is Output.JSON:
        for letter in found:
            json_line(_plain(letter))
        return
    rows = [
        [moment(one.about.at_ms), one.name, one.about.kind or "?", one.about.service or "?", one.about.queue,
         one.about.why, str(one.redrives), one.about.detail]
        for one in found
    ]  # fmt: skip
    table(["at (UTC)", "id", "kind", "service", "queue", "why", "redriven", "detail"], rows)


@dead.command()
def show(id_: str = typer.Argument(metavar="ID", help="The id as `headrace dead list` shows it.")) -> None:
    """Show one letter whole: headers, the way it came, its body."""
    letter = next((one for one in parked.look(settings(), 1_000_000) if one.name == id_), None)
    if letter is None:
        raise Failure(f"nothing is parked under {id_!r}; `headrace dead list` shows what is")
    pairs(_plain(letter))


@dead.command()
def redrive(
    ids: list[str] | None = IDS,
    every: bool = ALL,
    kind: Kind | None = KIND,
    limit: int = LIMIT,
    reason: str = typer.Option(..., "--reason", "-r", help="Why, for those who read history."),
    author: str | None = authors.AUTHOR,
) -> None:
    """Send parked messages again to where they came from, with a new expiry; what was done is not done again."""
    who = author or authors.default()
    wanted = _wanted(ids, every, kind)
    record = redrives.recorder(settings(), Verb.REDRIVE, who, reason)
    sent = parked.redrive(settings(), wanted, limit, f"{who}: {reason}", record)
    _say(ids, sent, "sent again")
    if ids and len(sent) < len(ids):
        raise Failure(
            f"{len(ids) - len(sent)} of {len(ids)} are not parked, or were sent again {MOST_REDRIVES} times already"
        )


@dead.command()
def drop(
    ids: list[str] | None = IDS,
    every: bool = ALL,
    kind: Kind | None = KIND,
    limit: int = LIMIT,
    yes: bool = typer.Option(False, "--yes", help="Do not ask."),
    reason: str = typer.Option(..., "--reason", "-r", help="Why, for those who read history."),
    author: str | None = authors.AUTHOR,
) -> None:
    """Delete parked messages for good; their outcomes stay."""
    wanted = _wanted(ids, every, kind)
    if not yes:
        typer.confirm("Delete them for good?", abort=True)
    record = redrives.recorder(settings(), Verb.DROP, author or authors.default(), reason)
    gone = parked.drop(settings(), wanted, limit, record)
    _say(ids, gone, "deleted")
    if ids and len(gone) < len(ids):
        raise Failure(f"{len(ids) - len(gone)} of {len(ids)} are not parked; `headrace dead list` shows what is")


def _wanted(ids: list[str] | None, every: bool, kind: Kind | None) -> Callable[[Letter], bool]:
    if bool(ids) == (every or kind is not None):
        raise typer.BadParameter("name ids, or ask for --all or a --kind")
    if ids:
        named = set(ids)
        return lambda letter: letter.name in named
    return lambda letter: kind is None or letter.about.kind == kind.value


def _say(ids: list[str] | None, letters: list[Letter], done: str) -> None:
    for letter in letters:
        typer.echo(f"{letter.name} {done}")
    if not letters and not ids:
        typer.echo(f"nothing was {done}")


def _plain(letter: Letter) -> dict[str, Any]:
    body: Any = letter.body.decode(errors="replace")
    with suppress(ValueError):
        body = json.loads(body)
    headers = {name: value for name, value in letter.headers.items() if name != PARKED_HEADER}
    told: dict[str, Any] = msgspec.to_builtins(letter.about)
    return (
        {"name": letter.name, "redrives": letter.redrives}
        | told
        | {"headers": json.loads(json.dumps(headers, default=str)), "body": body}
    )
