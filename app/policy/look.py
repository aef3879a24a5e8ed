"""One policy's view of one service: what it wants and why, stage by stage, with the evidence.

Called by `app.policy.evaluate`. It decides nothing: what stands against a wish from outside the
policy (a pause, a pending scaling, another policy) is `app.policy.settle`'s.
"""

from dataclasses import dataclass
from typing import Any, Final

from app.policy.autoscale import begin, left_alone, limited, stabilized
from app.policy.decision import Reason
from app.policy.measure import FAILED, Wish, wish_of
from app.policy.model_scale import ScalePolicy, ScaleSpec
from app.policy.recent import recent
from app.policy.replicas import NoMetricError
from app.policy.state import Memory, Service, State

COUNT_MS: Final = 10_000
"""Milliseconds in which those that report are counted, where no observer says how many replicas there are."""


@dataclass
class Look:
    """What a policy wants for a service that has `current` replicas, why, and from what evidence."""

    policy: ScalePolicy
    memory: Memory
    current: int
    wanted: int
    reason: Reason
    evidence: dict[str, Any]

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
    memory.looked_at_ms = state.now_ms
    evidence: dict[str, Any] = {"current": current, "source": service.source}
    if happened := recent(state, service):
        evidence["recent"] = happened
    look = Look(policy, memory, current, current, Reason.WITHIN_TOLERANCE, evidence)
    if service.observed is None and state.now_ms - memory.known_ms < COUNT_MS:
        look.reason = Reason.COUNTING
    elif service.observed is None and current == 0:
        look.reason = Reason.NO_DATA
    else:
        begin(memory.past, current, state.now_ms)
        _autoscale(look, state, service)
        look.conclude()
    return look


def replicas_of(service: Service) -> int:
    """Replicas now: as observed, else as many label sets as have reported; 0 if nothing is known."""
    if service.observed is not None:
        return service.observed.replicas
    return len({key.partition("\x1f")[2] for key in service.series})


def _autoscale(look: Look, state: State, service: Service) -> None:
    """What is there is left alone, brought within the limits, or measured."""
    spec, memory, current = look.policy.spec, look.memory, look.current
    if left_alone(memory.past, spec.limits, current):
        memory.past.conditions.active = "ScalingDisabled"
        look.reason = Reason.LEFT_AT_ZERO
    elif current > spec.maxReplicas:
        look.wanted, look.reason = spec.maxReplicas, Reason.ABOVE_MAXIMUM
    elif current < spec.minReplicas:
        look.wanted, look.reason = spec.minReplicas, Reason.BELOW_MINIMUM
    else:
        _measure(look, state, service)
        return
    look.evidence["limited"] = look.wanted


def _measure(look: Look, state: State, service: Service) -> None:
    """Ask the metrics. One that fails forbids a scale-down, and all of them any change."""
    spec, current, conditions = look.policy.spec, look.current, look.memory.past.conditions
    wishes: list[Wish] = []
    failed: list[str] = []
    newest_ms = 0
    for metric in spec.metrics:
        try:
            wish, at_ms = wish_of(state, service, spec, metric, current)
        except NoMetricError as why:
            failed.append(f"{metric.name}: {why}")
            conditions.active = conditions.active if len(failed) > 1 else FAILED[metric.type]
            continue
        wishes.append(wish)
        newest_ms = max(newest_ms, at_ms)
    look.evidence |= {"metrics": [wish._asdict() for wish in wishes], "sample_at_ms": newest_ms}
    if failed:
        look.evidence["failed"] = failed
    wanted = max((wish.wanted for wish in wishes), default=current)
    if not wishes or (failed and wanted < current):
        look.memory.wished_since_ms = -1
        _miss(look, state.now_ms)
    else:
        look.memory.missing_ms = -1
        conditions.active = "ValidMetricFound"
        _weaken(look, wanted, state.now_ms)


def _miss(look: Look, now_ms: int) -> None:
    """Nothing changes without data, but for a fallback that the policy asks for when they are missing for long."""
    memory, fallback = look.memory, look.policy.spec.fallback
    look.reason = Reason.NO_DATA
    if look.evidence["metrics"]:
        return  # one of them can be asked: that is enough not to go down
    if memory.missing_ms < 0:
        memory.missing_ms = now_ms
    if fallback is not None and now_ms - memory.missing_ms >= round(1000 * fallback.after_s):
        spec = look.policy.spec
        look.wanted = max(spec.minReplicas, min(spec.maxReplicas, fallback.replicas_for(look.current)))
        look.reason = Reason.FALLBACK
        look.evidence["missing_ms"] = now_ms - memory.missing_ms


def _weaken(look: Look, wanted: int, now_ms: int) -> None:
    """The stages that may only weaken a wish; the first that turns it into no change is the reason."""
    spec, past, current = look.policy.spec, look.memory.past, look.current
    after_hold = _held(spec, look.memory, wanted, current, now_ms)
    after_windows = stabilized(past, spec.limits, current, after_hold, now_ms)
    look.wanted = limited(past, spec.limits, current, after_windows, now_ms)
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
