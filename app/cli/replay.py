"""`headrace replay`: recorded facts decided again, and compared byte for byte with what was recorded."""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path

import typer

from app.cli import policy
from app.cli.errors import FINDINGS
from app.cli.printing import raw, remark
from app.cli.reading import journal_file, journal_topic, stretch_of
from app.cli.times import HELP, optional_ms
from app.cli.trace import csv_file, series_of
from app.history import recorded
from app.history.recorded import Stretch
from app.history.replay import Comparison, compare, with_policies
from app.history.replay import replay as replayed
from app.policy.decision import Decision, encode, place_of
from app.policy.facts import PolicyDocument
from app.settings import settings


class Actuator(StrEnum):
    """What becomes of the scalings that a replay decides."""

    NONE = "none"
    INSTANT = "instant"


class Form(StrEnum):
    """What a replay prints."""

    SUMMARY = "summary"
    JSONL = "jsonl"


def replay(
    from_: str | None = typer.Option(None, "--from", help=f"Begin here: {HELP} Without it, at the beginning."),
    to: str | None = typer.Option(None, "--to", help="End before here. Without it, at the end."),
    journal: Path | None = typer.Option(
        None, help="An exported journal, - for standard input; no server is needed then."
    ),
    decisions: Path | None = typer.Option(
        None, help="Recorded decisions to compare with, as `headrace decisions -o json` prints them."
    ),
    policies: list[Path] | None = typer.Option(
        None, help="Decide under these policies instead, files or directories; nothing is compared then."
    ),
    actuator: Actuator = typer.Option(
        Actuator.NONE, help="none: what the records say became of it. instant: each scaling is done at once."
    ),
    output: Form = typer.Option(Form.SUMMARY, "-o", "--output", help="jsonl prints the decisions, one a line."),
    csv: Path | None = typer.Option(
        None, help="Instead of a journal, rows of `timestamp,value` in the order of time, - for standard input."
    ),
    service: str | None = typer.Option(None, help="With --csv: the service that the values are of."),
    metric: str | None = typer.Option(None, help="With --csv: the metric that they are."),
    label: list[str] = typer.Option([], help="With --csv: a label of the series, like queue=mail; may be repeated."),
    replicas: int | None = typer.Option(None, min=0, help="With --csv: replicas at the beginning. Without: one."),
    tick: str | None = typer.Option(
        None, help="With --csv: how often time passes between rows. Without: 15s, up to 1m where rows are rarer."
    ),
) -> None:
    """Decide the recorded facts again: the same decisions, or the first difference (exit code 1).

    With --csv a public trace is decided under --policies, as if it had been recorded.
    """
    if csv is not None:
        if journal or decisions or from_ or to or not policies:
            raise typer.BadParameter("--csv goes with --policies, and without --journal, --decisions, --from and --to")
        named = policy.load(policies)
        trace = csv_file(csv, series_of(service, metric, label), replicas, tick, named)
        _tried(trace, named, actuator, output)
        return
    if service or metric or label or tick or replicas is not None:
        raise typer.BadParameter("--service, --metric, --label, --replicas and --tick say what a --csv is")
    start, end = optional_ms(from_), optional_ms(to)
    found = stretch_of(journal_file(journal), start, end) if journal else journal_topic(start, end)
    instant = actuator is Actuator.INSTANT
    if policies:
        _tried(found, policy.load(policies), actuator, output)
    elif instant:
        _alone(found, replayed(found.journal.records, found.journal.starting(), instant=True), output)
    elif decisions is not None:
        with decisions.open("rb") as lines:
            _against(found, [line.rstrip(b"\n") for line in lines if line.strip()], found.asked, output)
    elif journal is not None:
        _alone(found, replayed(found.journal.records, found.journal.starting()), output)
    else:
        within = recorded.decided(settings(), found.asked)
        _against(found, recorded.decisions_since(settings(), found.from_ms), within, output)


def _tried(found: Stretch, policies: list[PolicyDocument], actuator: Actuator, output: Form) -> None:
    """Decide under other policies than were in force."""
    states = found.journal.starting()
    changed = with_policies(found.journal.records, states, policies)
    _alone(found, replayed(changed, states, instant=actuator is Actuator.INSTANT), output)


def _alone(found: Stretch, decided: Iterable[Decision], output: Form) -> None:
    """Print what is decided, with nothing to compare it with."""
    count = acted = 0
    for decision in _inside(found, decided):
        count += 1
        acted += decision.action is not None and not decision.shadow
        if output is Form.JSONL:
            raw(encode(decision))
    remark(f"{count} decisions, {acted} of them with an action; not compared with recorded ones")


def _inside(found: Stretch, decided: Iterable[Decision]) -> Iterator[Decision]:
    for decision in decided:
        _, partition, offset, _ = place_of(decision.id)
        first, end = found.asked.get(partition, (0, 0))
        if first <= offset < end:
            yield decision


def _against(found: Stretch, recorded_ones: Iterable[bytes], within: dict[int, tuple[int, int]], output: Form) -> None:
    """Compare, print, and end with exit code 1 at the first difference."""
    mine = _inside(found, replayed(found.journal.records, found.journal.starting()))
    result = compare(_printed(mine, output), recorded_ones, within)
    waiting = sum(found.asked[p][1] - end for p, (_, end) in within.items())
    if waiting:
        remark(f"the last {waiting} facts are left out: the auto-scaler has not committed them yet")
    if result.difference:
        _differ(result)
        raise typer.Exit(FINDINGS)
    repeats = f" ({result.repeats} recorded more than once, with the same bytes)" if result.repeats else ""
    say = remark if output is Form.JSONL else typer.echo
    say(f"{result.decisions} decisions, equal{repeats}")


def _printed(decided: Iterable[Decision], output: Form) -> Iterator[Decision]:
    for decision in decided:
        if output is Form.JSONL:
            raw(encode(decision))
        yield decision


def _differ(result: Comparison) -> None:
    remark(f"{result.decisions} decisions are equal, then {result.difference}")
    remark(f"recorded: {result.recorded_bytes.decode(errors='replace') or 'nothing'}")
    remark(f"replayed: {result.replayed_bytes.decode(errors='replace') or 'nothing'}")
