"""`headrace timeline`: what happened to a service, in the order of time, each thing with its cause."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path

import msgspec
import typer

from app.cli.errors import Failure
from app.cli.printing import console, remark
from app.cli.reading import journal_file
from app.cli.times import HELP, at_ms, now_ms
from app.history import about
from app.history.entries import Entry, Timeline, remarks
from app.history.journal import partitions_of
from app.history.replay import replay
from app.history.timeline import account
from app.history.words import moment
from app.policy.decision import Decision
from app.policy.facts import Record, Reported, partition_of
from app.settings import settings
from tasks.contract import Outcome


class Form(StrEnum):
    """How to write it."""

    TEXT = "text"
    JSON = "json"
    HTML = "html"


STYLES = {
    "deploy": "magenta", "change": "yellow", "policies": "yellow", "command": "yellow", "action": "green",
    "outcome": "cyan", "refusal": "dim", "alert": "red", "verdict": "red", "metric": "dim", "replicas": "blue",
}  # fmt: skip


def timeline(
    service: str = typer.Argument(help="Name of the service."),
    from_: str = typer.Option("-1h", "--from", help=f"Begin here: {HELP}"),
    to: str = typer.Option("now", "--to", help="End before here."),
    form: Form = typer.Option(Form.TEXT, "-o", "--output", help="text, json: one document, or html: one file."),
    out: Path | None = typer.Option(None, "--out", help="Write to this file instead of printing."),
    force: bool = typer.Option(False, "--force", help="Write over a file that is there."),
    journal: Path | None = typer.Option(None, help="An exported journal; no server is needed then."),
) -> None:
    """Tell what happened to a service: metrics, deploys, changes, decisions, actions, and what came of them."""
    stretch = at_ms(from_), at_ms(to)
    if stretch[0] >= stretch[1]:
        raise typer.BadParameter(f"--from {from_} is not before --to {to}")
    if out is not None and out.exists() and not force:
        raise Failure(f"{out} is there already; write over it with --force")
    found, heard = account(
        service, stretch, *(_from_file(journal, service) if journal else _from_kafka(service, stretch))
    )
    if not heard:
        where = f"between {moment(stretch[0])} and {moment(stretch[1])} UTC"
        raise Failure(f"nothing is known of a service {service!r} {where}; {_instead(service, journal)}")
    text = _written(found, form)
    if out is None:
        if form is Form.TEXT:
            _print(found)
        else:
            typer.echo(text)
    else:
        out.write_text(text + "\n", encoding="utf-8")
        remark(f"wrote {out}")


Parts = tuple[Iterable[Record], Iterable[Decision], Iterable[Outcome]]


def _instead(service: str, journal: Path | None) -> str:
    """What to ask instead."""
    like = [] if journal else get_close_matches(service, about.services(settings()))
    if service in like:
        return "the newest decisions have it: ask for another stretch"
    return f"is it {' or '.join(like)}?" if like else "`headrace decisions` names some that are known"


def _from_kafka(service: str, stretch: tuple[int, int]) -> Parts:
    config = settings()
    return (
        about.facts_of(config, service, *stretch),
        about.decisions_of(config, service, *stretch),
        about.outcomes_of(config, service, *stretch),
    )


def _from_file(file: Path, service: str) -> Parts:
    """The same from an exported journal: decisions are made again, outcomes are those that came back."""
    found = journal_file(file)
    partition = partition_of(service, partitions_of(found))
    records = [one for one in found.records if one.partition == partition]
    states = {number: state for number, state in found.starting().items() if number == partition}
    outcomes: Iterator[Outcome] = (one.fact.outcome for one in records if isinstance(one.fact, Reported))
    return records, replay(records, states), outcomes


def _written(found: Timeline, form: Form) -> str:
    if form is Form.JSON:
        return msgspec.json.format(msgspec.json.encode(found), indent=1).decode()
    if form is Form.HTML:
        from app.history.page import html

        return html(found, now_ms())
    return "\n".join([*_head(found), *map(_line, found.entries)])


def _print(found: Timeline) -> None:
    for one in _head(found):
        console().print(one, style="bold", markup=False, soft_wrap=True)
    for entry in found.entries:
        console().print(_line(entry), style=STYLES.get(entry.kind, ""), markup=False, soft_wrap=True)


def _head(found: Timeline) -> Iterator[str]:
    yield f"{found.service}, {moment(found.from_ms)} to {moment(found.to_ms)} UTC, {found.samples} samples"
    yield from remarks(found)


def _line(one: Entry) -> str:
    late = f" (arrived late, at {moment(one.arrived_ms)})" if one.arrived_ms else ""
    again = f" (sent {one.detail['sent']} times)" if "sent" in one.detail else ""
    cause = f"  ← {one.cause}" if one.cause else ""
    return f"{moment(one.at_ms)}  {one.kind:<8}  {one.text}{again}{late}{f'  [{one.id}]' if one.id else ''}{cause}"
