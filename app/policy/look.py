"""One policy's view of one service: what it wants and why, stage by stage, with the evidence.

Called by `app.policy.evaluate`. It decides nothing: what stands against a wish from outside the
policy (a pause, a pending scaling, another policy) is `app.policy.settle`'s.
"""

from dataclasses import dataclass
from typing import Any, Final

from app.policy.decision import Reason
from app.policy.model import ScalePolicy
from app.policy.recent import recent
from app.policy.scale import Wish, clamped, held, stabilized, wish_of
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
    def shadow(self) -> bool:
        """Whether the policy is on trial."""
        return self.policy.spec.mode == "shadow"


def look_at(state: State, service: Service, policy: ScalePolicy) -> Look:
    """Ask one policy: metrics → wanted → held → stabilized → clamped, each kept as evidence."""
    spec, memory, current = policy.spec, service.memories[policy.metadata.name], replicas_of(service)
    memory.looked_at_ms = state.now_ms
    if memory.first_looked_ms < 0:
        memory.first_looked_ms = state.now_ms
    evidence: dict[str, Any] = {"current": current, "source": service.source}
    if happened := recent(state, service):
        evidence["recent"] = happened
    look = Look(policy, memory, current, current, Reason.WITHIN_TOLERANCE, evidence)
    if service.observed is None and state.now_ms - memory.first_looked_ms < COUNT_MS:
        look.reason = Reason.COUNTING
    elif current == 0:
        # nothing is known of it, or somebody put it to zero: either way it is left alone
        look.reason = Reason.NO_DATA
    elif not spec.minReplicas <= current <= spec.maxReplicas:
        look.wanted = evidence["clamped"] = clamped(spec, current)
        look.reason = Reason.BELOW_MINIMUM if current < spec.minReplicas else Reason.ABOVE_MAXIMUM
    else:
        _measure(look, state, service)
    return look


def replicas_of(service: Service) -> int:
    """Replicas now: as observed, else as many label sets as have reported; 0 if nothing is known."""
    if service.observed is not None:
        return service.observed.replicas
    return len({key.partition("\x1f")[2] for key in service.series})


def _measure(look: Look, state: State, service: Service) -> None:
    """Ask the metrics. One that fails forbids a scale-down, and all of them any change."""
    spec, current = look.policy.spec, look.current
    fresh_from = state.read_until_ms - round(spec.stale_s * 1000)
    wishes: list[Wish] = []
    newest = 0
    for metric in spec.metrics:
        series = [one for one in service.series.values() if one.name == metric.name and one.at_ms > fresh_from]
        wish = wish_of(metric, series, current, spec.tolerance)
        if wish is not None:
            wishes.append(wish)
            newest = max(newest, *(one.at_ms for one in series))
    look.evidence |= {"metrics": [wish._asdict() for wish in wishes], "sample_at_ms": newest}
    wanted = max((wish.wanted for wish in wishes), default=current)
    if not wishes or (len(wishes) < len(spec.metrics) and wanted <= current):
        look.reason = Reason.NO_DATA
        look.memory.wished_since_ms = -1
    else:
        _weaken(look, wanted, state.now_ms)


def _weaken(look: Look, wanted: int, now_ms: int) -> None:
    """The stages that may only weaken a wish; the first that turns it into no change is the reason."""
    spec, memory, current = look.policy.spec, look.memory, look.current
    after_hold = held(spec, memory, wanted, current, now_ms)
    after_windows = stabilized(spec, memory, after_hold, current, now_ms)
    look.wanted = clamped(spec, after_windows)
    look.evidence |= {"wanted": wanted, "held": after_hold, "stabilized": after_windows, "clamped": look.wanted}
    if look.wanted != current:
        look.reason = Reason.ABOVE_TARGET if look.wanted > current else Reason.BELOW_TARGET
    elif after_windows != current:
        look.reason = Reason.AT_MAXIMUM if after_windows > current else Reason.AT_MINIMUM
    elif after_hold != current:
        look.reason = Reason.STABILIZED
    elif wanted != current:
        look.reason = Reason.HELD
