"""`headrace journal`: read the journal, and export a stretch of it as a file that is a test case."""

from pathlib import Path

import typer

from app.cli.errors import Failure
from app.cli.printing import OUTPUT, Output, raw, remark
from app.cli.reading import journal_file, journal_topic, stretch_of
from app.cli.times import HELP, optional_ms
from app.history.journal import line_of, write
from app.history.words import moment
from app.policy import facts
from app.policy.facts import Record

journal = typer.Typer(
    help="Read and export the journal: all facts, in the order in which they count.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

FROM = typer.Option(None, "--from", help=f"Begin here: {HELP}")
TO = typer.Option(None, "--to", help="End before here.")


@journal.command()
def schema() -> None:
    """Print the JSON Schema of a fact's line, as `export` writes it and `replay --journal` reads it."""
    import json

    import msgspec

    typer.echo(json.dumps(msgspec.json.schema(Record, schema_hook=lambda _: {"description": "any JSON"}), indent=1))


@journal.command()
def cat(
    from_: str | None = FROM,
    to: str | None = TO,
    partition: int | None = typer.Option(None, help="Only one partition."),
    kind: str = typer.Option("", help="Only facts of a kind, like samples or policy_set."),
    file: Path | None = typer.Option(None, "--journal", help="Read an exported journal instead of Kafka."),
    output: Output = OUTPUT,
) -> None:
    """Print facts, each partition in its order; in JSON as `journal export` writes them."""
    start, end = optional_ms(from_), optional_ms(to)
    found = stretch_of(journal_file(file), start, end) if file else journal_topic(start, end)
    if kind and kind not in KINDS:
        raise typer.BadParameter(f"{kind!r} is no kind of fact; there are {', '.join(KINDS)}")
    for record in found.journal.records:
        first, _ = found.asked.get(record.partition, (record.offset + 1, 0))
        if record.offset < first or partition not in {None, record.partition} or kind not in {"", _kind(record)}:
            continue
        if output is Output.JSON:
            raw(line_of(record))
        else:
            place = f"{record.partition}/{record.offset}"
            typer.echo(f"{moment(record.timestamp_ms)}  {place:<12}  {_kind(record):<10}  {_about(record.fact)}")


@journal.command()
def export(
    file: Path = typer.Argument(help="The file to write; it must not exist."),
    from_: str | None = FROM,
    to: str | None = TO,
) -> None:
    """Write a stretch of the journal to a file, from the snapshots before: a complete test case."""
    if file.exists():
        raise Failure(f"{file} exists already; name another file")
    found = journal_topic(optional_ms(from_), optional_ms(to))
    with file.open("wb") as out:
        count = write(found.journal, out)
    remark(f"{count} facts and {len(found.journal.snapshots)} snapshots are in {file}")


def _kind(record: Record) -> str:
    return str(record.fact.__struct_config__.tag)


KINDS = sorted(str(kind.__struct_config__.tag) for kind in facts.Fact.__args__)
"""Kinds of fact, as `--kind` takes them."""


def _about(fact: facts.Fact) -> str:
    """A fact in a few words, and where it came from."""
    source = getattr(fact, "source", None)
    where = "" if source is None else f"  ({source.topic}/{source.partition}/{source.first}-{source.last})"
    return f"{_words(fact)}{where}"


def _words(fact: facts.Fact) -> str:
    match fact:
        case facts.Samples():
            words = f"{len(fact.value)} samples of {', '.join(sorted({series.service for series in fact.series}))}"
        case facts.Deploy():
            words = f"{fact.service} {fact.version} {fact.phase} in {fact.environment or 'no environment'}"
        case facts.Change():
            words = f"{fact.service}: {fact.what} by {fact.who or 'somebody'}"
        case facts.Instances():
            words = f"{fact.service} wants {fact.wanted}, {fact.ready} ready"
        case facts.Reported():
            words = f"{fact.outcome.service}: {fact.outcome.action} {fact.outcome.status}, {fact.outcome.id}"
        case facts.PolicySet():
            words = f"set {fact.fingerprint} of {len(fact.policies)} policies by {fact.author}: {fact.message}"
        case facts.Command():
            way = "" if fact.direction is facts.Direction.BOTH else f" {fact.direction}"
            which = f" {', '.join(fact.ids)} of" if fact.ids else ""
            words = f"{fact.verb}{way}{which} {fact.service} by {fact.author}: {fact.reason}"
        case facts.Tick():
            words = f"all sources are read up to {moment(fact.read_until_ms)}"
        case facts.Genesis():
            words = f"journal {fact.journal_id}, {fact.partitions} partitions, layout {fact.layout}"
    return words
