"""What would have had to be different for each reason, in sentences. Pure.

`app.history.explain` calls it, with the policy that was in force if it is known.
"""

from collections.abc import Callable
from typing import Any, Final

from pydantic import ValidationError

from app.history import alerts, rollouts
from app.history.measured import calm, change
from app.history.words import counted, lasting, moment, plain
from app.policy.decision import Decision, Reason
from app.policy.facts import PolicyDocument
from app.policy.files import compiled
from app.policy.model_alert import AlertSpec
from app.policy.model_scale import ScaleSpec
from app.policy.state import RETRY_MS

Answer = Callable[[Decision, ScaleSpec | None], list[str]]


def differently(decision: Decision, policy: PolicyDocument | None) -> list[str]:
    """What would have had to be different."""
    spec, reason = _spec(policy), decision.reason
    if reason in alerts.ANSWERS:
        return alerts.ANSWERS[reason](decision, spec if isinstance(spec, AlertSpec) else None)
    return ANSWERS[reason](decision, spec if isinstance(spec, ScaleSpec) else None)


def metrics_of(decision: Decision) -> list[dict[str, Any]]:
    """The metrics in a decision's evidence."""
    found: Any = decision.evidence.get("metrics", [])
    return [one for one in found if isinstance(one, dict)]


def _spec(policy: PolicyDocument | None) -> object:
    try:
        return compiled(policy).spec if policy else None
    except ValidationError:
        return None  # written for another version: the text is shown, nothing is computed from it


def _border(spec: ScaleSpec | None) -> float:
    return spec.tolerance if spec else 0.1


def _calm(decision: Decision, spec: ScaleSpec | None) -> list[str]:
    """The values at which a scaling would not have been wanted."""
    return [calm(one, _border(spec), _current(decision)) for one in metrics_of(decision)]


def _outside(decision: Decision, spec: ScaleSpec | None) -> list[str]:
    return [change(one, _border(spec), _current(decision)) for one in metrics_of(decision)]


def _current(decision: Decision) -> int:
    return int(str(decision.evidence.get("current", 0)))


def _partitions(decision: Decision, spec: ScaleSpec | None) -> list[str]:
    most = f" (it is {spec.maxReplicas})" if spec else ""
    return [
        f"{one['name']} needs {one['needed']} workers; `partitions` (they are {one['partitions']}) or "
        f"maxReplicas{most} would have to be higher, or the deadline longer"
        for one in metrics_of(decision)
        if "partitions" in one
    ]


def _inactive(decision: Decision, _: ScaleSpec | None) -> list[str]:
    return [
        f"{one['name']} above {one['activation']:.6g} (it was {one['active_by']:.6g}) would have it run"
        for one in metrics_of(decision)
        if "activation" in one
    ]


def _held(decision: Decision, spec: ScaleSpec | None) -> list[str]:
    up = decision.evidence.get("wanted", 0) > decision.evidence.get("current", 0)  # type: ignore[operator]
    least = f" {lasting(spec.hold_ms(up=up))}" if spec else ""
    return [f"the wish for {_replicas(decision.evidence.get('wanted'))} has to last{least} before it counts (`for`)"]


def _stabilized(decision: Decision, spec: ScaleSpec | None) -> list[str]:
    up = decision.evidence.get("held", 0) > decision.evidence.get("current", 0)  # type: ignore[operator]
    window = f" of {lasting(spec.window_ms(up=up))}" if spec else ""
    return [f"every recommendation within the window{window} has to agree; the most cautious one counts"]


def _limit(field: str, side: str) -> Answer:
    """For a limit that is in the way; of an alert's scaling it is the one of its own step."""

    def answer(decision: Decision, spec: ScaleSpec | None) -> list[str]:
        evidence: dict[str, Any] = decision.evidence
        schedule, wish = evidence.get("schedule"), evidence.get("stabilized")
        name = field
        if "deed" in evidence:
            name, wish = f"then.scale.{field[:3]}", evidence.get("wanted")
            limit = f" (it is {evidence.get('limited')})"
        elif schedule:
            limit = f" (it is {schedule[field]} by schedule {plain([one['name'] for one in schedule['windows']])})"
        else:
            limit = f" (it is {getattr(spec, field)})" if spec else ""
        said = f"{_replicas(wish)} would be set" if wish is not None else f"there are {_replicas(_current(decision))}"
        return [f"{name} would have to be {side}{limit}: {said}"]

    return answer


def _replicas(count: object) -> str:
    return "another number of replicas" if count is None else counted(count, "replica")


def _rate(decision: Decision, _: ScaleSpec | None) -> list[str]:
    wish = _replicas(decision.evidence.get("stabilized"))
    return [f"`behavior` would have to allow it: {wish} would be set, and its periods are used up"]


def _cooling(decision: Decision, spec: ScaleSpec | None) -> list[str]:
    ago: Any = decision.evidence.get("scaled_ms_ago") or 0
    pause = f" of {_stretch(spec.cooldown.up_s)} up, {_stretch(spec.cooldown.down_s)} down" if spec else ""
    return [f"the last scaling was {lasting(ago)} before; the policy's `cooldown`{pause} has to pass"]


def _stretch(stretch_s: float) -> str:
    return lasting(1000 * stretch_s)


def _deploy(decision: Decision, spec: ScaleSpec | None) -> list[str]:
    deploy: Any = decision.evidence.get("deploy") or {}
    longest = f", or {_stretch(spec.deployHold_s)} (`deployHold`) have to pass" if spec else ""
    return [f"the deploy of {deploy.get('version') or 'a version'} has to be finished, failed or rolled back{longest}"]


def _crashing(decision: Decision, spec: ScaleSpec | None) -> list[str]:
    found: Any = decision.evidence.get("crashing") or {}
    names = ", ".join(found.get("failing", ())) or "what fails"
    ready = f"an instance of version {found.get('version')} has to be ready (failing: {names})"
    return [f"{ready}; or, as below, the deploy has to end", *_deploy(decision, spec)]


def _warming(decision: Decision, spec: ScaleSpec | None) -> list[str]:
    doubt: Any = decision.evidence.get("doubt") or {}
    names = ", ".join(doubt.get("warming", ())) or "the new instances"
    age = f" ({_stretch(spec.warmup_s)})" if spec else ""
    measured = _replicas(decision.evidence.get("measured"))
    return [f"{names} would have to be older than `warmup`{age}; with their load {measured} would be set"]


def _flapping(decision: Decision, spec: ScaleSpec | None) -> list[str]:
    found: Any = decision.evidence.get("flapping") or {}
    limit = (
        f"fewer than {spec.flapping.changes} within {_stretch(spec.flapping.within_s)}"
        if spec and spec.flapping
        else "fewer"
    )
    turns, until = len(found.get("turns_ms", ())), found.get("until_ms")
    when = f"at {moment(until)}" if until else "after some time"
    return [f"the direction turned {turns} times, and it would have to be {limit}; without another turn it is {when}"]


def _fallback(decision: Decision, _: ScaleSpec | None) -> list[str]:
    missing: Any = decision.evidence.get("missing_ms") or 0
    return [f"a fresh sample of any metric would count instead; none came for {lasting(missing)}"]


def _zero(_: Decision, __: ScaleSpec | None) -> list[str]:
    return ["somebody has to set the replicas above 0; only what was put to 0 here is woken here"]


def _pending(decision: Decision, _: ScaleSpec | None) -> list[str]:
    pending = decision.evidence.get("pending") or "that is under way"
    return [f"action {pending} has to report its outcome, or to expire"]


def _backing_off(decision: Decision, _: ScaleSpec | None) -> list[str]:
    failed = decision.evidence.get("pending") or "before"
    return [f"action {failed} failed; {lasting(RETRY_MS)} after that it is tried again, if it is still wanted"]


def _outvoted(decision: Decision, _: ScaleSpec | None) -> list[str]:
    return [f"another policy wants {_replicas(decision.evidence.get('highest'))}; the highest wish is done"]


def _counting(_: Decision, __: ScaleSpec | None) -> list[str]:
    return ["an observer that reports the wanted replicas on the topic of instances ends the counting at once"]


def _no_data(_: Decision, spec: ScaleSpec | None) -> list[str]:
    fresh = f" younger than {_stretch(spec.stale_s)}" if spec else ""
    return [f"a sample{fresh} of every metric of the policy is needed to scale down, of one to scale up"]


def _paused(decision: Decision, _: ScaleSpec | None) -> list[str]:
    what = "be rolled back" if _of_a_rollback(decision) else "scale"
    return [f"`headrace resume {decision.service}` (or `*`, if all are paused) lets it {what} again"]


def _of_a_rollback(decision: Decision) -> bool:
    """Whether what is not done is a rollback: an alert's, or one after a verdict."""
    evidence = decision.evidence
    return evidence.get("deed") == "rollBack" or ("decision" in evidence and "deed" not in evidence)


def _by_people(decision: Decision, _: ScaleSpec | None) -> list[str]:
    return [f"{decision.evidence.get('author') or 'somebody'} did this; nothing was measured"]


def _series(decision: Decision, _: ScaleSpec | None) -> list[str]:
    return [f"fewer series would have to report: {decision.evidence.get('kept')} are kept"]


def _scaled_already(decision: Decision, _: ScaleSpec | None) -> list[str]:
    return [f"without action {decision.evidence.get('pending')} of the same moment it would have been done"]


def _no_environment(decision: Decision, _: ScaleSpec | None) -> list[str]:
    known: Any = decision.evidence.get("environments") or []
    names = ", ".join(one or "one without a name" for one in known) or "none"
    return [f"`then.rollBack.environment` has to name one where the service was deployed; there are {names}"]


def _event(_decision: Decision, _: ScaleSpec | None) -> list[str]:
    return ["every event is published; a policy of kind Route has something done about it"]


def _routed(decision: Decision, _: ScaleSpec | None) -> list[str]:
    event = f"events of type {decision.evidence.get('event')}"
    return [f"policy {decision.policy} has {event} sent on; decision {decision.evidence.get('event_decision')} has it"]


def _repeated(decision: Decision, _: ScaleSpec | None) -> list[str]:
    return [f"it is the event of decision {decision.evidence.get('first')}; another `id` or `time` makes another event"]


def _late(decision: Decision, _: ScaleSpec | None) -> list[str]:
    newer = decision.evidence.get("newer") or "something newer"
    return [f"its time would have to be later than that of {newer}, by its sender's clock"]


def _no_backends(_: Decision, __: ScaleSpec | None) -> list[str]:
    return ["an event `pod_started` with an `address` tells where an instance is"]


def _no_count(_: Decision, __: ScaleSpec | None) -> list[str]:
    return ["an observer on the topic of instances, `pod_started` events, or samples tell how many there are"]


ANSWERS: Final[dict[Reason, Answer]] = {
    Reason.ABOVE_TARGET: _calm,
    Reason.BELOW_TARGET: _calm,
    Reason.BELOW_MINIMUM: _limit("minReplicas", "lower"),
    Reason.ABOVE_MAXIMUM: _limit("maxReplicas", "higher"),
    Reason.WITHIN_TOLERANCE: _outside,
    Reason.HELD: _held,
    Reason.STABILIZED: _stabilized,
    Reason.AT_MAXIMUM: _limit("maxReplicas", "higher"),
    Reason.AT_MINIMUM: _limit("minReplicas", "lower"),
    Reason.AT_PARTITIONS: _partitions,
    Reason.INACTIVE: _inactive,
    Reason.SCALE_PENDING: _pending,
    Reason.RATE_LIMITED: _rate,
    Reason.LEFT_AT_ZERO: _zero,
    Reason.COOLING_DOWN: _cooling,
    Reason.HELD_BY_DEPLOY: _deploy,
    Reason.CRASHING: _crashing,
    Reason.WARMING_UP: _warming,
    Reason.FLAPPING: _flapping,
    Reason.FALLBACK: _fallback,
    Reason.BACKING_OFF: _backing_off,
    Reason.OUTVOTED: _outvoted,
    Reason.COUNTING: _counting,
    Reason.NO_DATA: _no_data,
    Reason.PAUSED: _paused,
    Reason.SCALED_ALREADY: _scaled_already,
    Reason.NO_ENVIRONMENT: _no_environment,
    Reason.EVENT_SEEN: _event,
    Reason.ROUTED: _routed,
    Reason.EVENT_REPEATED: _repeated,
    Reason.EVENT_LATE: _late,
    Reason.NO_BACKENDS: _no_backends,
    Reason.NO_COUNT: _no_count,
    Reason.POLICIES_CHANGED: _by_people,
    Reason.SERIES_LIMIT: _series,
    **rollouts.ANSWERS,
}
"""What would have had to be different, for every reason but those of alerts."""
