"""One policy's view of one service: what it wants and why, stage by stage, with the evidence.

Called by `app.policy.evaluate`. It decides nothing: what stands against a wish from outside the
policy (a pause, a pending scaling, another policy) is `app.policy.settle`'s.
"""

from dataclasses import dataclass
from typing import Any, Final

from app.policy.activation import Gate, gated, is_active
from app.policy.autoscale import begin, left_alone, limited, stabilized
from app.policy.decision import Reason
from app.policy.instances import replicas_of
from app.policy.measure import FAILED, wish_of
from app.policy.model_scale import ScalePolicy, ScaleSpec
from app.policy.readings import Question, Wish
from app.policy.recent import recent
from app.policy.release import UnderWay, under_way
from app.policy.replicas import NoMetricError
from app.policy.schedule import Bounds
from app.policy.state import Memory, Service, State
from app.policy.warm import Doubt, doubt_of

COUNT_MS: Final = 10_000
"""Milliseconds in which those that report are counted, where no observer says how many replicas there are."""


@dataclass(slots=True)
class Look:
    """What a policy wants for a service that has `current` replicas, why, and from what evidence.

    `bounds` are the limits that hold now, `deploy` is one that has not ended.
    """

    policy: ScalePolicy
    memory: Memory
    current: int
    wanted: int
    reason: Reason
    evidence: dict[str, Any]
    bounds: Bounds
    deploy: UnderWay | None

    @property
    def up(self) -> bool:
        """Whether more replicas are wanted."""
        return self.wanted > self.current

    @property
    def said(self) -> str:
        """What is compared with what was said last: a refusal is written when any of it changes."""
        past = self.memory.past.conditions
        return f"{self.reason.value}|{past.able}|{past.active}|{past.limited}|{past.zero}"

    def conclude(self) -> None:
        """Put the conditions, as they stand now, into the evidence."""
        past = self.memory.past.conditions
        named = {"AbleToScale": past.able, "ScalingActive": past.active, "ScalingLimited": past.limited}
        named["ScaledToZero"] = past.zero
        self.evidence["conditions"] = {name: reason for name, reason in named.items() if reason}

    @property
    def shadow(self) -> bool:
        """Whether the policy is on trial."""
        return self.policy.spec.mode == "shadow"


def look_at(state: State, service: Service, policy: ScalePolicy) -> Look:
    """Ask one policy: metrics → wanted → held → stabilized → limited, each kept as evidence."""
    memory, current = service.memories[policy.metadata.name], replicas_of(service)
    evidence: dict[str, Any] = {"current": current, "source": service.newest}
    if happened := recent(state, service):
        evidence["recent"] = happened
    bounds = policy.spec.calendar.at(state.now_ms)
    if bounds.evidence:
        evidence["schedule"] = bounds.evidence
    deploy = under_way(service, round(1000 * policy.spec.deployHold_s), state.now_ms)
    if deploy is not None:
        evidence["deploy"] = deploy.evidence()
    look = Look(policy, memory, current, current, Reason.WITHIN_TOLERANCE, evidence, bounds, deploy)
    if service.observed is None and state.now_ms - memory.known_ms < COUNT_MS:
        look.reason = Reason.COUNTING
    elif service.observed is None and current == 0:
        look.reason = Reason.NO_DATA
    else:
        begin(memory.past, current, state.now_ms)
        _autoscale(look, state, service)
        look.conclude()
    return look


def _autoscale(look: Look, state: State, service: Service) -> None:
    """What is there is left alone, brought within the limits, or measured."""
    limits, memory, current = look.bounds.limits, look.memory, look.current
    if left_alone(memory.past, limits, current):
        memory.past.conditions.active = "ScalingDisabled"
        look.reason = Reason.LEFT_AT_ZERO
    elif current > limits.most:
        look.wanted, look.reason = limits.most, Reason.ABOVE_MAXIMUM
    elif current < limits.least:
        look.wanted, look.reason = limits.least, Reason.BELOW_MINIMUM
    else:
        _measure(look, state, service)
        return
    look.evidence["limited"] = look.wanted


def _measure(look: Look, state: State, service: Service) -> None:
    """Ask the metrics. One that fails forbids a scale-down, and all of them any change."""
    spec, current, conditions = look.policy.spec, look.current, look.memory.past.conditions
    question = Question(state, service, spec, look.memory, current)
    wishes: list[Wish] = []
    failed: list[str] = []
    gates: list[Gate] = []
    doubt = doubt_of(question, look.deploy)
    for metric in spec.metrics:
        wish = None
        try:
            wish = wish_of(question, metric)
            wishes.append(wish if doubt is None else doubt.weaken(metric, wish))
        except NoMetricError as why:
            failed.append(f"{metric.name}: {why}")
            conditions.active = conditions.active if len(failed) > 1 else FAILED[metric.type]
        if metric.activation is not None:
            gates.append(Gate(metric.activation, wish.seen if wish is not None else None))
            if wish is not None:
                wish.evidence.update(activation=metric.activation, active_by=wish.seen)
    newest_ms = max([wish.at_ms for wish in wishes], default=0)
    look.evidence |= {"metrics": [wish.evidence for wish in wishes], "sample_at_ms": newest_ms}
    if failed:
        look.evidence["failed"] = failed
    wanted = max([wish.wanted for wish in wishes], default=current)
    active = is_active(gates) if gates else True
    if gates:
        look.evidence["active"] = active
        wanted = gated(wanted, current, active=active)
    if not wishes or (failed and wanted < current) or (current == 0 and active is None):
        look.memory.wished_since_ms = -1
        _miss(look, state.now_ms)
        return
    look.memory.missing_ms = -1
    conditions.active = "ValidMetricFound"
    _weaken(look, wanted, state.now_ms)
    if active is False and look.reason in {Reason.BELOW_TARGET, Reason.WITHIN_TOLERANCE}:
        look.reason = Reason.INACTIVE
    elif look.reason is Reason.WITHIN_TOLERANCE and any(one.bound and one.wanted == wanted for one in wishes):
        look.reason = Reason.AT_PARTITIONS
    _say_doubt(look, doubt, wanted)


def _say_doubt(look: Look, doubt: Doubt | None, wanted: int) -> None:
    """Say who is in doubt; it is the reason where nothing else is and it turned a wish into none."""
    if doubt is None:
        return
    look.evidence |= doubt.evidence()
    if wanted == look.current != doubt.measured and look.wanted == look.current:
        look.reason = Reason.HELD_BY_DEPLOY if doubt.left_out else Reason.WARMING_UP


def _miss(look: Look, now_ms: int) -> None:
    """Nothing changes without data, but for a fallback that the policy asks for when they are missing for long."""
    memory, fallback = look.memory, look.policy.spec.fallback
    look.reason = Reason.NO_DATA
    if look.evidence["metrics"]:
        return  # one of them can be asked: that is enough not to go down
    if memory.missing_ms < 0:
        memory.missing_ms = now_ms
    if fallback is not None and now_ms - memory.missing_ms >= round(1000 * fallback.after_s):
        limits = look.bounds.limits
        look.wanted = max(limits.least, min(limits.most, fallback.replicas_for(look.current)))
        look.reason = Reason.FALLBACK
        look.evidence["missing_ms"] = now_ms - memory.missing_ms


def _weaken(look: Look, wanted: int, now_ms: int) -> None:
    """The stages that may only weaken a wish; the first that turns it into no change is the reason."""
    limits, past, current = look.bounds.limits, look.memory.past, look.current
    after_hold = _held(look.policy.spec, look.memory, wanted, current, now_ms)
    after_windows = stabilized(past, limits, current, after_hold, now_ms)
    look.wanted = limited(past, limits, current, after_windows, now_ms)
    look.evidence |= {"wanted": wanted, "held": after_hold, "stabilized": after_windows, "limited": look.wanted}
    if look.wanted != current:
        look.reason = Reason.ABOVE_TARGET if look.wanted > current else Reason.BELOW_TARGET
    elif after_windows != current:
        look.reason = _LIMITS[past.conditions.limited]
    elif after_hold != current:
        look.reason = Reason.STABILIZED
    elif wanted != current:
        look.reason = Reason.HELD


_LIMITS: Final = {
    "TooManyReplicas": Reason.AT_MAXIMUM, "TooFewReplicas": Reason.AT_MINIMUM,
    "ScaleUpLimit": Reason.RATE_LIMITED, "ScaleDownLimit": Reason.RATE_LIMITED,
}  # fmt: skip


def _held(spec: ScaleSpec, memory: Memory, wanted: int, current: int, now_ms: int) -> int:
    """`wanted` once it has lasted as long as the policy asks for in its direction, else `current`."""
    if wanted == current:
        memory.wished_since_ms = -1
        return current
    up = wanted > current
    if memory.wished_since_ms < 0 or memory.wished_up != up:
        memory.wished_since_ms, memory.wished_up = now_ms, up
    return wanted if now_ms - memory.wished_since_ms >= spec.hold_ms(up=up) else current
