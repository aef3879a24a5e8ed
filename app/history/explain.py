"""Why something was decided, in sentences: the evidence, the stages, the rule, and what would have had to differ.

Called by `headrace explain`. Pure: from a decision and the policy that was in force. It reads
what the engine wrote down and computes no decision of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from app.history.answers import differently, metrics_of
from app.history.measured import metric_line
from app.history.rollouts import number, objective_line, objectives_of
from app.policy.decision import SENTENCES, Decision
from app.policy.facts import PolicyDocument
from tasks.contract import (
    Action,
    Annotate,
    Build,
    CallWebhook,
    Notify,
    RecordCost,
    RollBack,
    Scale,
    UpdateLoadBalancer,
)

STAGES: Final = ("current", "measured", "wanted", "held", "stabilized", "limited")
"""The stages of a scaling in their order, as they are named in the evidence."""

_PLACES: Final = frozenset(
    {*STAGES, "metrics", "source", "fact", "sample_at_ms", "at_ms", "recent", "conditions", "failed"}
    | {"objectives", "deploy", "baseline", "baseline_ms", "baseline_at"}
    | {"result", "score", "total_score", "early", "failing"}
)


@dataclass(frozen=True)
class Explanation:
    """A decision explained. Each field is ready to be printed; an empty one has nothing to say."""

    decision: Decision
    what: str
    why: str
    metrics: list[str]
    objectives: list[str]
    stages: list[tuple[str, int]]
    evidence: dict[str, str]
    recent: list[str]
    differently: list[str]
    policy: PolicyDocument | None


def explain(decision: Decision, policies: Sequence[PolicyDocument]) -> Explanation:
    """Explain a decision; `policies` are those that may have been in force, found by fingerprint."""
    policy = next((one for one in policies if one.fingerprint == decision.fingerprint), None)
    evidence = decision.evidence
    return Explanation(
        decision=decision,
        what=what(decision.action),
        why=SENTENCES[decision.reason],
        metrics=[metric_line(metric) for metric in metrics_of(decision)],
        objectives=[objective_line(one) for one in objectives_of(decision)],
        stages=[(name, int(str(evidence[name]))) for name in STAGES if name in evidence],
        evidence=_rest(evidence),
        recent=[_happened(one) for one in _recent(decision)],
        differently=differently(decision, policy),
        policy=policy,
    )


def what(action: Action | None) -> str:  # noqa: PLR0911 - a line a kind
    """An action in a few words; of a refusal, that nothing is done."""
    match action:
        case Scale():
            return f"scale {action.from_replicas} → {action.to_replicas}"
        case Notify():
            return f"notify {action.receiver}: {action.title}"
        case Build():
            return f"build {action.repo} {action.branch}"
        case UpdateLoadBalancer():
            return f"have {action.balancer} serve {action.backend} from {', '.join(action.servers)}"
        case Annotate():
            return f"mark on {action.dashboard}: {action.text}"
        case RecordCost():
            return f"note {action.replicas} replicas at price {action.price} in book {action.book}"
        case RollBack():
            place = f" in {action.environment}" if action.environment else ""
            return f"roll back {action.from_version} → {action.to_version}{place}"
        case CallWebhook():
            return f"call webhook {action.webhook}: {action.event}"
        case None:
            return "nothing is done"


def moment(at_ms: int) -> str:
    """A time as people read it, in UTC with milliseconds."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(" ", "milliseconds").removesuffix("+00:00")


def _deploy(evidence: dict[str, Any]) -> dict[str, str]:
    """The deploy that a decision is about, and what it was compared with, as rows."""
    deploy: Any = evidence.get("deploy")
    if not isinstance(deploy, dict):
        return {}
    where = f" in {deploy['environment']}" if deploy.get("environment") else ""
    back = f", would go back to {deploy['back_to']}" if deploy.get("back_to") else ""
    words = {"deploy": f"{deploy.get('version') or 'a version'}{where}{back}"}
    for name, field in (("began", "began_ms"), ("finished", "finished_ms")):
        if deploy.get(field, -1) >= 0:
            words[f"deploy {name}"] = moment(deploy[field])
    if evidence.get("baseline_ms"):
        words["baseline from"] = f"{moment(evidence['baseline_ms'])} ({evidence.get('baseline_at')})"
    baseline: Any = evidence.get("baseline")
    if isinstance(baseline, dict):
        words["baseline"] = ", ".join(f"{sli} {number(value)}" for sli, value in baseline.items())
    if total := evidence.get("total_score"):
        row = " in a row, so the window was not waited for" if evidence.get("early") else ""
        times = f", failed {evidence.get('failing')} times" if evidence.get("failing", 0) > 1 else ""
        words["score"] = (
            f"{evidence['score']:g} of 100 ({total['pass']:g} passes, {total['warning']:g} is a warning): "
            f"{evidence['result']}{times}{row}"
        )
    return words


def _rest(evidence: dict[str, Any]) -> dict[str, str]:
    """What is left of the evidence, in words: positions, times, and whatever a reason adds."""
    words = {name: str(value) for name, value in evidence.items() if name not in _PLACES and value != ""}
    words |= _deploy(evidence)
    if evidence.get("sample_at_ms"):
        words["newest sample"] = moment(evidence["sample_at_ms"])
    if evidence.get("source"):
        words["source record"] = str(evidence["source"])
    if evidence.get("fact"):
        words["journal record"] = str(evidence["fact"])
    return words


def _recent(decision: Decision) -> list[dict[str, Any]]:
    found: Any = decision.evidence.get("recent", [])
    return [one for one in found if isinstance(one, dict)]


def _happened(one: dict[str, Any]) -> str:
    """A deploy or a change of the hour before."""
    who = f" by {one['who']}" if one.get("who") else ""
    link = f" ({one['link']})" if one.get("link") else ""
    return f"{moment(one['at_ms'])}  {one['what']}{who}{link}"
