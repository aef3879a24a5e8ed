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
    SCALE_PENDING = "SCALE_PENDING"
    RATE_LIMITED = "RATE_LIMITED"
    LEFT_AT_ZERO = "LEFT_AT_ZERO"
    COOLING_DOWN = "COOLING_DOWN"
    HELD_BY_DEPLOY = "HELD_BY_DEPLOY"
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
    EVENT_SEEN = "EVENT_SEEN"
    ROUTED = "ROUTED"
    EVENT_REPEATED = "EVENT_REPEATED"
    EVENT_LATE = "EVENT_LATE"
    NO_BACKENDS = "NO_BACKENDS"
    NO_COUNT = "NO_COUNT"
    POLICIES_CHANGED = "POLICIES_CHANGED"
    SERIES_LIMIT = "SERIES_LIMIT"


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
    Reason.SCALE_PENDING: "a scale in this direction is under way and its outcome is not known yet",
    Reason.RATE_LIMITED: "the behavior allows no more change within its periods",
    Reason.LEFT_AT_ZERO: "the service is at 0 replicas and was not put there by this policy, so it is left alone",
    Reason.COOLING_DOWN: "the service was scaled in this direction a moment ago, and the policy asks for a pause",
    Reason.HELD_BY_DEPLOY: "a deploy is under way, and fewer replicas have to wait for its end",
    Reason.FALLBACK: "the metrics have been missing for too long, so the policy's fallback counts",
    Reason.BACKING_OFF: "the last scale in this direction failed a moment ago, and the next try waits",
    Reason.OUTVOTED: "another policy for this service wants more replicas",
    Reason.COUNTING: "nobody says how many replicas there are, so those that report are being counted",
    Reason.NO_DATA: "there is no fresh sample of the metric, and unknown never scales",
    Reason.PAUSED: "somebody paused scaling of this service",
    Reason.ALERT_PENDING: "the alert's expression is true, and has to stay so for a while before it fires",
    Reason.ALERT_FIRING: "the alert's expression has been true for as long as it asks for",
    Reason.ALERT_RESOLVED: "the alert's expression is not true any more",
    Reason.ALERT_UNKNOWN: "the alert's expression cannot be said, so it neither fires nor resolves",
    Reason.ALERT_INACTIVE: "the alert's expression can be said again, and is not true",
    Reason.EVENT_SEEN: "a deploy or a change was seen and is published with what is known of it",
    Reason.ROUTED: "a policy has this event sent on to a downstream service",
    Reason.EVENT_REPEATED: "the same event came before, so nothing is done again",
    Reason.EVENT_LATE: "a newer deploy of this service came before, so nothing is done for this one",
    Reason.NO_BACKENDS: "no address of an instance is known, and unknown never empties a load balancer",
    Reason.NO_COUNT: "nobody says how many replicas there are, so no cost can be noted",
    Reason.POLICIES_CHANGED: "the policies in force were replaced",
    Reason.SERIES_LIMIT: "the service has more series than are kept, so some are left out",
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
