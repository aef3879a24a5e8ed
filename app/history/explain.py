"""Why something was decided, in sentences: the evidence, the stages, the rule, and what would have had to differ.

Called by `headrace explain`. Pure: from a decision and the policy that was in force. It reads
what the engine wrote down and computes no decision of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from app.history.answers import differently, metrics_of
from app.history.evidence import rows_of
from app.history.measured import metric_line
from app.history.rollouts import objective_line, objectives_of
from app.history.words import counted, moment
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
        evidence=rows_of(evidence),
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
            return f"note {counted(action.replicas, 'replica')} at price {action.price} in book {action.book}"
        case RollBack():
            place = f" in {action.environment}" if action.environment else ""
            return f"roll back {action.from_version} → {action.to_version}{place}"
        case CallWebhook():
            return f"call webhook {action.webhook}: {action.event}"
        case None:
            return "nothing is done"


def _recent(decision: Decision) -> list[dict[str, Any]]:
    found: Any = decision.evidence.get("recent", [])
    return [one for one in found if isinstance(one, dict)]


def _happened(one: dict[str, Any]) -> str:
    """A deploy or a change of the hour before."""
    who = f" by {one['who']}" if one.get("who") else ""
    link = f" ({one['link']})" if one.get("link") else ""
    return f"{moment(one['at_ms'])}  {one['what']}{who}{link}"
