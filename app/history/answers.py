"""What would have had to be different for each reason, in sentences. Pure.

`app.history.explain` calls it, with the policy that was in force if it is known.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import ValidationError

from app.history import rollouts
from app.history.measured import calm, change
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
    least = f" {spec.hold_ms(up=up) / 1000:g} s" if spec else ""
    return [f"the wish for {decision.evidence.get('wanted')} replicas has to last{least} before it counts (`for`)"]


def _stabilized(decision: Decision, spec: ScaleSpec | None) -> list[str]:
    up = decision.evidence.get("held", 0) > decision.evidence.get("current", 0)  # type: ignore[operator]
    window = f" of {spec.window_ms(up=up) / 1000:g} s" if spec else ""
    return [f"every recommendation within the window{window} has to agree; the most cautious one counts"]


def _limit(field: str, side: str) -> Answer:
    def answer(decision: Decision, spec: ScaleSpec | None) -> list[str]:
        schedule: Any = decision.evidence.get("schedule")
        wish = decision.evidence.get("stabilized", decision.evidence.get("limited"))
        if schedule:
            names = ", ".join(one["name"] for one in schedule["windows"])
            limit = f" (it is {schedule[field]} by schedule {names})"
        else:
            limit = f" (it is {getattr(spec, field)})" if spec else ""
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


def _crashing(decision: Decision, spec: ScaleSpec | None) -> list[str]:
    found: Any = decision.evidence.get("crashing") or {}
    names = ", ".join(found.get("failing", ())) or "what fails"
    ready = f"an instance of version {found.get('version')} has to be ready (failing: {names})"
    return [f"{ready}; or, as below, the deploy has to end", *_deploy(decision, spec)]


def _warming(decision: Decision, spec: ScaleSpec | None) -> list[str]:
    doubt: Any = decision.evidence.get("doubt") or {}
    names = ", ".join(doubt.get("warming", ())) or "the new instances"
    age = f" {spec.warmup_s:g} s" if spec else ""
    measured = decision.evidence.get("measured")
    return [f"{names} would have to be older than `warmup`{age}; with their load {measured} replicas are asked for"]


def _flapping(decision: Decision, spec: ScaleSpec | None) -> list[str]:
    found: Any = decision.evidence.get("flapping") or {}
    limit = (
        f"fewer than {spec.flapping.changes} within {spec.flapping.within_s:g} s" if spec and spec.flapping else "fewer"
    )
    turns, until = len(found.get("turns_ms", ())), _moment(found.get("until_ms"))
    return [
        f"the direction turned {turns} times, and it would have to be {limit}; without another turn it is at {until}"
    ]


def _moment(at_ms: Any) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC" if at_ms else "some time"


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
    evidence = decision.evidence
    if "why" not in evidence:
        return [f"it goes with decision {evidence.get('decision')}; without that nobody would be told"]
    way = f"route {evidence['route']}" if "route" in evidence else "`then.notify` of the alert"
    return [f"{way} has {evidence.get('receiver')} told; a silence, an inhibition or a mute would have kept it back"]


def _by_people(decision: Decision, _: ScaleSpec | None) -> list[str]:
    return [f"{decision.evidence.get('author') or 'somebody'} did this; nothing was measured"]


def _series(decision: Decision, _: ScaleSpec | None) -> list[str]:
    return [f"fewer series would have to report: {decision.evidence.get('kept')} are kept"]


def _alert(decision: Decision, _: ScaleSpec | None) -> list[str]:
    values: Any = decision.evidence.get("values") or {}
    told = ", ".join(f"{call} = {value}" for call, value in values.items()) or "nothing was asked"
    return [f"`{decision.evidence.get('expr')}` with other values than {told}"]


def _acts(decision: Decision, _: ScaleSpec | None) -> list[str]:
    return [f"without `then.{decision.evidence.get('deed')}` in policy {decision.policy} it would only be told"]


def _inhibited(decision: Decision, _: ScaleSpec | None) -> list[str]:
    return [f"alert {decision.evidence.get('inhibited_by')} has to be over (`inhibit_rules`); it is told of then"]


def _muted(decision: Decision, _: ScaleSpec | None) -> list[str]:
    by, only = decision.evidence.get("muted_by"), decision.evidence.get("active_only_in")
    when = f"outside of {by} (`mute_time_intervals`)" if by else f"within one of {only} (`active_time_intervals`)"
    return [f"it is told {when}, if there is something to tell then"]


def _silenced(decision: Decision, _: ScaleSpec | None) -> list[str]:
    return [f"`headrace unsilence {decision.service}`, with `--alert` as it was silenced, or the silence's end"]


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
    Reason.ALERT_ACTS: _acts,
    Reason.INHIBITED: _inhibited,
    Reason.MUTED: _muted,
    Reason.SILENCED: _silenced,
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
"""What would have had to be different, for every reason there is."""
