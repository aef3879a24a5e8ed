"""Why something was decided, in sentences: the evidence, the stages, the rule, and what would have had to differ.

Called by `headrace explain`. Pure: from a decision and the policy that was in force. It reads
what the engine wrote down and computes no decision of its own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import ValidationError

from app.policy.decision import SENTENCES, Decision, Reason
from app.policy.facts import PolicyDocument
from app.policy.files import compiled
from app.policy.model import ScaleSpec
from tasks.contract import Action, Build, Notify, Scale

STAGES: Final = ("current", "wanted", "held", "stabilized", "clamped")
"""The stages of a scaling in their order, as they are named in the evidence."""

_PLACES: Final = frozenset({*STAGES, "metrics", "source", "fact", "sample_at_ms"})


@dataclass(frozen=True)
class Explanation:
    """A decision explained. Each field is ready to be printed; an empty one has nothing to say."""

    decision: Decision
    what: str
    why: str
    metrics: list[str]
    stages: list[tuple[str, int]]
    evidence: dict[str, str]
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
        metrics=[metric_line(metric) for metric in _metrics(decision)],
        stages=[(name, int(str(evidence[name]))) for name in STAGES if name in evidence],
        evidence=_rest(evidence),
        differently=_ANSWERS[decision.reason](decision, _spec(policy)),
        policy=policy,
    )


def what(action: Action | None) -> str:
    """An action in a few words; of a refusal, that nothing is done."""
    match action:
        case Scale():
            return f"scale {action.from_replicas} → {action.to_replicas}"
        case Notify():
            return f"notify {action.receiver}: {action.title}"
        case Build():
            return f"build {action.repo} {action.branch}"
        case _:
            return "nothing is done"


def metric_line(metric: dict[str, Any]) -> str:
    """One metric's part in a scaling."""
    return (
        f"{metric['name']} averages {metric['value']:.6g} over {metric['instances']} series; "
        f"target {metric['target']:.6g}, ratio {metric['ratio']:.4g}, so {metric['wanted']} replicas"
    )


def moment(at_ms: int) -> str:
    """A time as people read it, in UTC with milliseconds."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(" ", "milliseconds").removesuffix("+00:00")


def _metrics(decision: Decision) -> list[dict[str, Any]]:
    found: Any = decision.evidence.get("metrics", [])
    return [one for one in found if isinstance(one, dict)]


def _rest(evidence: dict[str, Any]) -> dict[str, str]:
    """What is left of the evidence, in words: positions, times, and whatever a reason adds."""
    words = {name: str(value) for name, value in evidence.items() if name not in _PLACES and value != ""}
    if evidence.get("sample_at_ms"):
        words["newest sample"] = moment(evidence["sample_at_ms"])
    if evidence.get("source"):
        words["source record"] = str(evidence["source"])
    if evidence.get("fact"):
        words["journal record"] = str(evidence["fact"])
    return words


def _spec(policy: PolicyDocument | None) -> ScaleSpec | None:
    try:
        return compiled(policy).spec if policy else None
    except ValidationError:
        return None  # written for another version: the text is shown, nothing is computed from it


def _border(spec: ScaleSpec | None) -> float:
    return spec.tolerance if spec else 0.1


def _calm(decision: Decision, spec: ScaleSpec | None) -> list[str]:
    """The values at which a scaling would not have been wanted."""
    border = _border(spec)
    return [
        f"with {one['name']} between {one['target'] * (1 - border):.6g} and {one['target'] * (1 + border):.6g} "
        f"(it was {one['value']:.6g}) it would have asked for no change"
        for one in _metrics(decision)
    ]


def _outside(decision: Decision, spec: ScaleSpec | None) -> list[str]:
    border = _border(spec)
    return [
        f"{one['name']} above {one['target'] * (1 + border):.6g} would ask for more replicas, "
        f"below {one['target'] * (1 - border):.6g} for fewer"
        for one in _metrics(decision)
    ]


def _held(decision: Decision, spec: ScaleSpec | None) -> list[str]:
    up = decision.evidence.get("wanted", 0) > decision.evidence.get("current", 0)  # type: ignore[operator]
    least = f" {spec.hold_ms(up=up) / 1000:g} s" if spec else ""
    return [f"the wish for {decision.evidence.get('wanted')} replicas has to last{least} before it counts (`for`)"]


def _stabilized(decision: Decision, spec: ScaleSpec | None) -> list[str]:
    up = decision.evidence.get("held", 0) > decision.evidence.get("current", 0)  # type: ignore[operator]
    window = f" of {spec.window_ms(up=up) / 1000:g} s" if spec else ""
    return [f"every recommendation within the window{window} has to agree; the most cautious one counts"]


def _limit(field: str, side: str) -> Callable[[Decision, ScaleSpec | None], list[str]]:
    def answer(decision: Decision, spec: ScaleSpec | None) -> list[str]:
        limit = f" (it is {getattr(spec, field)})" if spec else ""
        wish = decision.evidence.get("stabilized", decision.evidence.get("clamped"))
        return [f"{field} would have to be {side}{limit}; {wish} replicas are asked for"]

    return answer


def _pending(decision: Decision, _: ScaleSpec | None) -> list[str]:
    return [f"action {decision.evidence.get('pending')} has to report its outcome, or to expire"]


def _outvoted(decision: Decision, _: ScaleSpec | None) -> list[str]:
    return [f"another policy wants {decision.evidence.get('highest')} replicas; the highest wish is done"]


def _counting(_: Decision, __: ScaleSpec | None) -> list[str]:
    return ["an observer that reports the wanted replicas on the topic of instances ends the counting at once"]


def _no_data(_: Decision, spec: ScaleSpec | None) -> list[str]:
    fresh = f" younger than {spec.stale_s:g} s" if spec else ""
    return [f"a sample{fresh} of every metric of the policy is needed to scale down, of one to scale up"]


def _paused(decision: Decision, _: ScaleSpec | None) -> list[str]:
    return [f"`headrace resume {decision.service}` (or `*`, if all are paused) lets it scale again"]


def _told(decision: Decision, _: ScaleSpec | None) -> list[str]:
    return [f"it goes with decision {decision.evidence.get('decision')}; without that nobody would be told"]


def _by_people(decision: Decision, _: ScaleSpec | None) -> list[str]:
    return [f"{decision.evidence.get('author') or 'somebody'} did this; nothing was measured"]


def _series(decision: Decision, _: ScaleSpec | None) -> list[str]:
    return [f"fewer series would have to report: {decision.evidence.get('kept')} are kept"]


_ANSWERS: Final[dict[Reason, Callable[[Decision, ScaleSpec | None], list[str]]]] = {
    Reason.ABOVE_TARGET: _calm,
    Reason.BELOW_TARGET: _calm,
    Reason.BELOW_MINIMUM: _limit("minReplicas", "lower"),
    Reason.ABOVE_MAXIMUM: _limit("maxReplicas", "higher"),
    Reason.TOLD: _told,
    Reason.WITHIN_TOLERANCE: _outside,
    Reason.HELD: _held,
    Reason.STABILIZED: _stabilized,
    Reason.AT_MAXIMUM: _limit("maxReplicas", "higher"),
    Reason.AT_MINIMUM: _limit("minReplicas", "lower"),
    Reason.SCALE_PENDING: _pending,
    Reason.BACKING_OFF: _pending,
    Reason.OUTVOTED: _outvoted,
    Reason.COUNTING: _counting,
    Reason.NO_DATA: _no_data,
    Reason.PAUSED: _paused,
    Reason.POLICIES_CHANGED: _by_people,
    Reason.SERIES_LIMIT: _series,
}
"""What would have had to be different, for every reason there is."""
