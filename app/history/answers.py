"""What would have had to be different for each reason, in sentences. Pure.

`app.history.explain` calls it, with the policy that was in force if it is known.
"""

from collections.abc import Callable
from typing import Any, Final

from pydantic import ValidationError

from app.policy.decision import Decision, Reason
from app.policy.facts import PolicyDocument
from app.policy.files import compiled
from app.policy.model_scale import ScaleSpec

Answer = Callable[[Decision, ScaleSpec | None], list[str]]


def differently(decision: Decision, policy: PolicyDocument | None) -> list[str]:
    """What would have had to be different."""
    return _ANSWERS[decision.reason](decision, _spec(policy))


def metrics_of(decision: Decision) -> list[dict[str, Any]]:
    """The metrics in a decision's evidence."""
    found: Any = decision.evidence.get("metrics", [])
    return [one for one in found if isinstance(one, dict)]


def _spec(policy: PolicyDocument | None) -> ScaleSpec | None:
    try:
        spec = compiled(policy).spec if policy else None
    except ValidationError:
        return None  # written for another version: the text is shown, nothing is computed from it
    return spec if isinstance(spec, ScaleSpec) else None


def _border(spec: ScaleSpec | None) -> float:
    return spec.tolerance if spec else 0.1


def _calm(decision: Decision, spec: ScaleSpec | None) -> list[str]:
    """The values at which a scaling would not have been wanted."""
    border = _border(spec)
    return [
        f"with {one['name']} between {one['target'] * (1 - border):.6g} and {one['target'] * (1 + border):.6g} "
        f"(it was {one['value']:.6g}) it would have asked for no change"
        for one in metrics_of(decision)
    ]


def _outside(decision: Decision, spec: ScaleSpec | None) -> list[str]:
    border = _border(spec)
    return [
        f"{one['name']} above {one['target'] * (1 + border):.6g} would ask for more replicas, "
        f"below {one['target'] * (1 - border):.6g} for fewer"
        for one in metrics_of(decision)
    ]


def _held(decision: Decision, spec: ScaleSpec | None) -> list[str]:
    up = decision.evidence.get("wanted", 0) > decision.evidence.get("current", 0)  # type: ignore[operator]
    least = f" {spec.hold_ms(up=up) / 1000:g} s" if spec else ""
    return [f"the wish for {decision.evidence.get('wanted')} replicas has to last{least} before it counts (`for`)"]


def _stabilized(decision: Decision, spec: ScaleSpec | None) -> list[str]:
    up = decision.evidence.get("held", 0) > decision.evidence.get("current", 0)  # type: ignore[operator]
    window = f" of {spec.window_ms(up=up) / 1000:g} s" if spec else ""
    return [f"every recommendation within the window{window} has to agree; the most cautious one counts"]


def _limit(field: str, side: str) -> Answer:
    def answer(decision: Decision, spec: ScaleSpec | None) -> list[str]:
        limit = f" (it is {getattr(spec, field)})" if spec else ""
        wish = decision.evidence.get("stabilized", decision.evidence.get("limited"))
        return [f"{field} would have to be {side}{limit}; {wish} replicas are asked for"]

    return answer


def _rate(decision: Decision, _: ScaleSpec | None) -> list[str]:
    wish = decision.evidence.get("stabilized")
    return [f"`behavior` would have to allow it: {wish} replicas are asked for, and its periods are used up"]


def _cooling(decision: Decision, spec: ScaleSpec | None) -> list[str]:
    ago = decision.evidence.get("scaled_ms_ago")
    pause = f" of {spec.cooldown.up_s:g} s up, {spec.cooldown.down_s:g} s down" if spec else ""
    return [f"the last scaling was {ago} ms before; the policy's `cooldown`{pause} has to pass"]


def _deploy(decision: Decision, spec: ScaleSpec | None) -> list[str]:
    deploy: Any = decision.evidence.get("deploy") or {}
    longest = f", or {spec.deployHold_s:g} s (`deployHold`) have to pass" if spec else ""
    return [f"the deploy of {deploy.get('version') or 'a version'} has to be finished, failed or rolled back{longest}"]


def _fallback(decision: Decision, _: ScaleSpec | None) -> list[str]:
    return [f"a fresh sample of any metric would count instead; none came for {decision.evidence.get('missing_ms')} ms"]


def _zero(_: Decision, __: ScaleSpec | None) -> list[str]:
    return ["somebody has to set the replicas above 0; only what was put to 0 here is woken here"]


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


def _alert(decision: Decision, _: ScaleSpec | None) -> list[str]:
    values: Any = decision.evidence.get("values") or {}
    told = ", ".join(f"{call} = {value}" for call, value in values.items()) or "nothing was asked"
    return [f"`{decision.evidence.get('expr')}` with other values than {told}"]


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


_ANSWERS: Final[dict[Reason, Answer]] = {
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
    Reason.RATE_LIMITED: _rate,
    Reason.LEFT_AT_ZERO: _zero,
    Reason.COOLING_DOWN: _cooling,
    Reason.HELD_BY_DEPLOY: _deploy,
    Reason.FALLBACK: _fallback,
    Reason.BACKING_OFF: _pending,
    Reason.OUTVOTED: _outvoted,
    Reason.COUNTING: _counting,
    Reason.NO_DATA: _no_data,
    Reason.PAUSED: _paused,
    Reason.ALERT_PENDING: _alert,
    Reason.ALERT_FIRING: _alert,
    Reason.ALERT_RESOLVED: _alert,
    Reason.ALERT_UNKNOWN: _alert,
    Reason.ALERT_INACTIVE: _alert,
    Reason.EVENT_SEEN: _event,
    Reason.ROUTED: _routed,
    Reason.EVENT_REPEATED: _repeated,
    Reason.EVENT_LATE: _late,
    Reason.NO_BACKENDS: _no_backends,
    Reason.NO_COUNT: _no_count,
    Reason.POLICIES_CHANGED: _by_people,
    Reason.SERIES_LIMIT: _series,
}
"""What would have had to be different, for every reason there is."""
