"""What the engine decided, or refused to do, and why.

Written to `headrace.decisions` by the auto-scaler, read by the router and by every reader of
history. Deterministic: the same journal gives the same bytes.
"""

from enum import StrEnum
from typing import Final

import msgspec

from tasks.contract import Action, Event

ENGINE: Final = "0.3"
"""Version of the decision engine. "Byte for byte" holds within one."""


class Reason(StrEnum):
    """Why. A closed list; `SENTENCES` has what people read."""

    ABOVE_TARGET = "ABOVE_TARGET"
    BELOW_TARGET = "BELOW_TARGET"
    BELOW_MINIMUM = "BELOW_MINIMUM"
    ABOVE_MAXIMUM = "ABOVE_MAXIMUM"
    TOLD = "TOLD"
    WITHIN_TOLERANCE = "WITHIN_TOLERANCE"
    HELD = "HELD"
    STABILIZED = "STABILIZED"
    AT_MAXIMUM = "AT_MAXIMUM"
    AT_MINIMUM = "AT_MINIMUM"
    AT_PARTITIONS = "AT_PARTITIONS"
    INACTIVE = "INACTIVE"
    SCALE_PENDING = "SCALE_PENDING"
    RATE_LIMITED = "RATE_LIMITED"
    LEFT_AT_ZERO = "LEFT_AT_ZERO"
    COOLING_DOWN = "COOLING_DOWN"
    HELD_BY_DEPLOY = "HELD_BY_DEPLOY"
    CRASHING = "CRASHING"
    WARMING_UP = "WARMING_UP"
    FLAPPING = "FLAPPING"
    FALLBACK = "FALLBACK"
    BACKING_OFF = "BACKING_OFF"
    OUTVOTED = "OUTVOTED"
    COUNTING = "COUNTING"
    NO_DATA = "NO_DATA"
    PAUSED = "PAUSED"
    ALERT_PENDING = "ALERT_PENDING"
    ALERT_FIRING = "ALERT_FIRING"
    ALERT_RESOLVED = "ALERT_RESOLVED"
    ALERT_UNKNOWN = "ALERT_UNKNOWN"
    ALERT_INACTIVE = "ALERT_INACTIVE"
    ALERT_ACTS = "ALERT_ACTS"
    ALERT_DROPPED = "ALERT_DROPPED"
    INHIBITED = "INHIBITED"
    MUTED = "MUTED"
    SILENCED = "SILENCED"
    SCALED_ALREADY = "SCALED_ALREADY"
    NO_ENVIRONMENT = "NO_ENVIRONMENT"
    EVENT_SEEN = "EVENT_SEEN"
    ROUTED = "ROUTED"
    EVENT_REPEATED = "EVENT_REPEATED"
    EVENT_LATE = "EVENT_LATE"
    NO_BACKENDS = "NO_BACKENDS"
    NO_COUNT = "NO_COUNT"
    POLICIES_CHANGED = "POLICIES_CHANGED"
    SERIES_LIMIT = "SERIES_LIMIT"
    ROLLOUT_WATCHED = "ROLLOUT_WATCHED"
    ROLLOUT_PASSED = "ROLLOUT_PASSED"
    ROLLOUT_WARNED = "ROLLOUT_WARNED"
    ROLLOUT_FAILED = "ROLLOUT_FAILED"
    ROLLOUT_UNKNOWN = "ROLLOUT_UNKNOWN"
    ROLLOUT_STALLED = "ROLLOUT_STALLED"
    DEPLOY_FAILED = "DEPLOY_FAILED"
    ROLLOUT_SUPERSEDED = "ROLLOUT_SUPERSEDED"
    ROLLOUT_ENDED = "ROLLOUT_ENDED"
    ROLLOUT_DROPPED = "ROLLOUT_DROPPED"
    ALREADY_WATCHED = "ALREADY_WATCHED"
    OWN_ROLLBACK = "OWN_ROLLBACK"
    NO_PREVIOUS_VERSION = "NO_PREVIOUS_VERSION"
    ROLLED_BACK_ALREADY = "ROLLED_BACK_ALREADY"
    ROLLBACK_PENDING = "ROLLBACK_PENDING"
    ROLLBACK_DONE = "ROLLBACK_DONE"
    ROLLBACK_FAILED = "ROLLBACK_FAILED"
    ROLLBACK_UNANSWERED = "ROLLBACK_UNANSWERED"


SENTENCES: Final[dict[Reason, str]] = {
    Reason.ABOVE_TARGET: "the metric is above its target, so more replicas are wanted",
    Reason.BELOW_TARGET: "the metric is below its target, so fewer replicas will do",
    Reason.BELOW_MINIMUM: "there are fewer replicas than the policy's minimum",
    Reason.ABOVE_MAXIMUM: "there are more replicas than the policy's maximum",
    Reason.TOLD: "people are told of what was decided",
    Reason.WITHIN_TOLERANCE: "the metric is close enough to its target",
    Reason.HELD: "the wish has not lasted as long as the policy asks for",
    Reason.STABILIZED: "a recent recommendation within the stabilization window says otherwise",
    Reason.AT_MAXIMUM: "the service is at the policy's maximum already",
    Reason.AT_MINIMUM: "the service is at the policy's minimum already",
    Reason.AT_PARTITIONS: "more workers are needed, but no larger number shares the partitions evenly",
    Reason.INACTIVE: "no metric is above its activation, so nothing needs to run",
    Reason.SCALE_PENDING: "a scale in this direction is under way and its outcome is not known yet",
    Reason.RATE_LIMITED: "the behavior allows no more change within its periods",
    Reason.LEFT_AT_ZERO: "the service is at 0 replicas and was not put there by this policy, so it is left alone",
    Reason.COOLING_DOWN: "the service was scaled in this direction a moment ago, and the policy asks for a pause",
    Reason.HELD_BY_DEPLOY: "a deploy is under way: fewer replicas wait for its end, and what it starts does not count",
    Reason.CRASHING: "a deploy is under way and its new version crashes, and more of that would not help",
    Reason.WARMING_UP: "new instances are warming up, and without believing their load there is nothing to change",
    Reason.FLAPPING: "the service was scaled up and down in turn too often, so scale-downs wait until it is calm",
    Reason.FALLBACK: "the metrics have been missing for too long, so the policy's fallback counts",
    Reason.BACKING_OFF: "the last scale in this direction failed a moment ago, and the next try waits",
    Reason.OUTVOTED: "another policy for this service wants more replicas",
    Reason.COUNTING: "nobody says how many replicas there are, so those that report are being counted",
    Reason.NO_DATA: "there is no fresh sample of the metric, and unknown never scales",
    Reason.PAUSED: "somebody paused this service, so it is neither scaled in this direction nor rolled back by itself",
    Reason.ALERT_PENDING: "the alert's expression is true, and has to stay so for a while before it fires",
    Reason.ALERT_FIRING: "the alert's expression has been true for as long as it asks for",
    Reason.ALERT_RESOLVED: "the alert's expression is not true any more",
    Reason.ALERT_UNKNOWN: "the alert's expression cannot be said, so it neither fires nor resolves",
    Reason.ALERT_INACTIVE: "the alert's expression can be said again, and is not true",
    Reason.ALERT_ACTS: "the alert began to fire, and its policy has this done then",
    Reason.ALERT_DROPPED: "the alert fired, and its policy or its service is gone, so nobody is told of an end",
    Reason.INHIBITED: "an alert that fires makes this one not worth telling",
    Reason.MUTED: "nobody is told of it at this time of the day, the week or the year",
    Reason.SILENCED: "somebody silenced the alert, so nobody is told of it",
    Reason.SCALED_ALREADY: "the service was scaled the other way in the same moment, so this is not done",
    Reason.NO_ENVIRONMENT: "nothing tells which environment is meant, so nothing is rolled back",
    Reason.EVENT_SEEN: "a deploy or a change was seen and is published with what is known of it",
    Reason.ROUTED: "a policy has this event sent on to a downstream service",
    Reason.EVENT_REPEATED: "the same event came before, so nothing is done again",
    Reason.EVENT_LATE: "a newer deploy of this service came before, so nothing is done for this one",
    Reason.NO_BACKENDS: "no address of an instance is known, and unknown never empties a load balancer",
    Reason.NO_COUNT: "nobody says how many replicas there are, so nothing is done that needs the number",
    Reason.POLICIES_CHANGED: "the policies in force were replaced",
    Reason.SERIES_LIMIT: "the service has more series than are kept, so some are left out",
    Reason.ROLLOUT_WATCHED: "a deploy began, and is watched and compared with what was before it",
    Reason.ROLLOUT_PASSED: "the deploy keeps its objectives, so it stays, and nothing waits for it any more",
    Reason.ROLLOUT_WARNED: "the deploy keeps its objectives only in part: it stays, and somebody should look",
    Reason.ROLLOUT_FAILED: "the deploy misses its objectives",
    Reason.ROLLOUT_UNKNOWN: "an objective of the deploy cannot be said, and unknown neither passes nor rolls back",
    Reason.ROLLOUT_STALLED: "the deploy has not finished within its deadline, and nothing waits for it any longer",
    Reason.DEPLOY_FAILED: "the deploy failed by its own word, so there is nothing to judge",
    Reason.ROLLOUT_SUPERSEDED: "the next deploy began before this one was judged, and is compared in its place",
    Reason.ROLLOUT_ENDED: "the deploy was rolled back, or its service removed, before it was judged",
    Reason.ROLLOUT_DROPPED: "the policy that watched the deploy is not in force for it any more, so it is not judged",
    Reason.ALREADY_WATCHED: "this deploy was heard of before, so it is not watched a second time",
    Reason.OWN_ROLLBACK: "this is the rollback that was decided here, and no new deploy to watch",
    Reason.NO_PREVIOUS_VERSION: "no version before this one is known to be good, so there is nothing to roll back to",
    Reason.ROLLED_BACK_ALREADY: "this deploy was rolled back once, and that is not tried twice by itself",
    Reason.ROLLBACK_PENDING: "a rollback of this service is under way and its outcome is not known yet",
    Reason.ROLLBACK_DONE: "the service runs the version before the deploy again",
    Reason.ROLLBACK_FAILED: "the rollback was not done, and no second one is tried by itself",
    Reason.ROLLBACK_UNANSWERED: "nothing was heard of the rollback before it expired, so somebody has to look",
}
"""One sentence for each reason, as one would say it to the engineer on call."""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """One decision, or refusal (`action` is None). `event` is what is published for whoever listens.

    `id` is `<journal id>-<partition>-<offset>-<n>`: the address of the fact that caused it and
    a counter within it. `at_ms` is the journal's time. `evidence` has the values used, with the
    journal position and the source position of the sample that tipped it; for scaling also the
    replicas after each stage (`wanted`, `held`, `stabilized`, `limited`), and Kubernetes' conditions.
    `sample_at_ms` in it is the own time of the newest sample used: reaction times start there.
    """

    id: str
    at_ms: int
    service: str
    policy: str
    fingerprint: str
    reason: Reason
    evidence: dict[str, object]
    action: Action | None = None
    event: Event | None = None
    shadow: bool = False
    engine: str = ENGINE


_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(Decision)


def encode(decision: Decision) -> bytes:
    """JSON of a decision."""
    return _encode(decision)


def decode(raw: bytes) -> Decision:
    """The decision in `raw`; raises `msgspec.ValidationError` or `msgspec.DecodeError`."""
    return _decoder.decode(raw)


def place_of(decision_id: str) -> tuple[str, int, int, int]:
    """(journal id, partition, offset, n) of a decision id; raises ValueError if it is none."""
    journal, partition, offset, n = decision_id.rsplit("-", 3)
    return journal, int(partition), int(offset), int(n)
