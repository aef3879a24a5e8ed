"""`headrace explain`: why something was decided, from Kafka, an exported journal, or what a replay printed."""

from pathlib import Path

import msgspec
import typer

from app.cli import policy
from app.cli.printing import Output, console, json_line, pairs
from app.cli.reading import journal_file, opened
from app.history import recorded
from app.history.explain import Explanation
from app.history.explain import explain as explained
from app.history.journal import HistoryError
from app.history.replay import identity, replay
from app.history.words import moment
from app.policy.decision import Decision, decode
from app.policy.facts import PolicyDocument, PolicySet
from app.settings import settings
from tasks.contract import Outcome


def explain(
    decision_id: str = typer.Argument(metavar="ID", help="A decision's id, as `headrace decisions` lists it."),
    journal: Path | None = typer.Option(None, help="An exported journal; no server is needed then."),
    decisions: Path | None = typer.Option(
        None, help="Decisions as `headrace replay -o jsonl` prints them, - for standard input; no server then."
    ),
    policies: list[Path] | None = typer.Option(None, help="With --decisions: the policies that were replayed."),
    output: Output = typer.Option(Output.TABLE, "-o", "--output", help="table, or json."),
) -> None:
    """Say why: the evidence, the stages, the rule, and what would have had to be different."""
    outcomes: list[Outcome] = []
    if (journal and decisions) or (policies and not decisions):
        raise typer.BadParameter("--policies goes with --decisions, and --decisions without --journal")
    if decisions is not None:
        decision, known = _from_decisions(decisions, decision_id), policy.load(policies) if policies else []
    elif journal is not None:
        decision, known = _from_file(journal, decision_id)
    else:
        decision = decode(recorded.decision(settings(), decision_id))
        known = [mine for one in recorded.policy_sets(settings()) for mine in one.policies]
        outcomes = recorded.outcomes(settings(), decision.service, lambda one: one.id == decision_id)
    found = explained(decision, known)
    if output is Output.JSON:
        json_line(msgspec.to_builtins(found) | {"outcomes": msgspec.to_builtins(outcomes)})
    else:
        _print(found, outcomes)


def _from_file(file: Path, decision_id: str) -> tuple[Decision, list[PolicyDocument]]:
    """The decision, made again from the file, and every policy that the file has."""
    journal = journal_file(file)
    states = journal.starting()
    policies = [mine for state in states.values() for mine in state.policies]
    policies += [p for record in journal.records if isinstance(record.fact, PolicySet) for p in record.fact.policies]
    for decision in replay(journal.records, states):
        if decision.id == decision_id:
            return decision, policies
    raise HistoryError(f"{file} does not lead to decision {decision_id}; `headrace replay --journal {file}` lists them")


def _from_decisions(file: Path, decision_id: str) -> Decision:
    """The decision as a replay printed it."""
    with opened(file) as (lines, name):
        for line in lines:
            if line.strip() and identity(line).id == decision_id:
                return decode(line)
    raise HistoryError(f"{name} has no decision {decision_id}")


def _print(found: Explanation, outcomes: list[Outcome]) -> None:
    decision = found.decision
    rows: dict[str, object] = {
        "decision": decision.id,
        "at (UTC)": moment(decision.at_ms),
        "service": decision.service,
        "action": found.what + (" (shadow: it was not done)" if decision.shadow else ""),
        "why": f"{decision.reason}: {found.why}",
    }
    for number, line in enumerate(found.metrics, 1):
        name = f"metric {line.split(' ', 1)[0]}"
        rows[f"{name} ({number})" if name in rows else name] = line
    for line in found.objectives:
        rows[f"objective {line.split(' ', 1)[0]}"] = line
    if found.stages:
        rows["stages"] = " → ".join(f"{name} {replicas}" for name, replicas in found.stages)
    rows |= found.evidence
    rows |= {f"hour before{f' {i}' if i > 1 else ''}": text for i, text in enumerate(found.recent, 1)}
    rows |= {f"otherwise {i}" if i > 1 else "otherwise": text for i, text in enumerate(found.differently, 1)}
    for outcome in outcomes:
        detail = f" ({outcome.detail})" if outcome.detail else ""
        rows["outcome"] = (
            f"{outcome.status}{detail}, by {outcome.worker or 'a worker'} at {moment(outcome.ended_at_ms)}"
        )
    rows["versions"] = f"policy {decision.fingerprint or 'none'}, engine {decision.engine}"
    pairs(rows)
    if found.policy is not None:
        console().print(f"\nThe rule, policy {found.policy.name}:")
        console().print(_yaml(found.policy.document), markup=False)


def _yaml(document: dict[str, object]) -> str:
    from io import StringIO

    from ruamel.yaml import YAML

    text = StringIO()
    YAML().dump(document, text)
    return text.getvalue().rstrip()
