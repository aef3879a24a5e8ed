"""The wishes of all policies for one service put together: one scaling at most, refusals for the rest.

Called by `app.policy.evaluate`. A refusal is written when it begins or its reason changes, never
on every sample.
"""

from typing import Any

from app.policy.autoscale import scaled
from app.policy.decision import SENTENCES, Reason
from app.policy.fold import paused
from app.policy.look import Look
from app.policy.release import under_way
from app.policy.state import Pending, Service, State
from app.policy.writer import Writer
from tasks.contract import EXPIRY_S, Kind, Notify, Scale


def settle(state: State, name: str, looks: list[Look], floor: int, writer: Writer) -> None:
    """The highest wish is done, unless something stands against it; all others are refusals.

    `floor` is the highest that policies which are not asked this time wanted last (-1: none).
    """
    service = state.services[name]
    for look in looks:
        look.memory.wish = look.wanted
    highest = max((floor, *(look.wanted for look in looks)))
    chosen = False
    for look in looks:
        if look.wanted != look.current:
            if look.wanted < highest or chosen:
                look.evidence["highest"] = highest
                look.reason = Reason.OUTVOTED
            elif (against := _against(state, service, name, look)) is not None:
                look.reason = against
            else:
                chosen = True
                _decide(name, service, look, writer)
                continue
        _refuse(name, look, writer)


def _against(state: State, service: Service, name: str, look: Look) -> Reason | None:
    """What forbids a scaling that is wanted; the evidence says more."""
    pause = paused(state, name)
    if pause is not None:
        look.evidence["paused"] = {"author": pause.author, "reason": pause.reason, "until_ms": pause.until_ms}
        return Reason.PAUSED
    up = look.wanted > look.current
    spec, memory, now_ms = look.policy.spec, look.memory, state.now_ms
    if not up and (deploy := under_way(service, now_ms - round(1000 * spec.deployHold_s))):
        look.evidence["deploy"] = deploy
        return Reason.HELD_BY_DEPLOY
    scaled_ms, pause_s = (
        (memory.scaled_up_ms, spec.cooldown.up_s) if up else (memory.scaled_down_ms, spec.cooldown.down_s)
    )
    if scaled_ms >= 0 and now_ms - scaled_ms < round(1000 * pause_s):
        look.evidence["scaled_ms_ago"] = now_ms - scaled_ms
        return Reason.COOLING_DOWN
    pending = service.pending
    if pending is None or look.shadow:
        return None
    if state.now_ms >= pending.until_ms:
        service.pending = None
    elif pending.up == up:
        look.evidence["pending"] = pending.id
        return Reason.BACKING_OFF if pending.failed else Reason.SCALE_PENDING
    return None


def _decide(name: str, service: Service, look: Look, writer: Writer) -> None:
    """Write the scaling, and have people told of it."""
    spec, now_ms = look.policy.spec, look.memory.looked_at_ms
    said = f"{look.said}|{look.wanted}"
    if look.shadow and look.memory.reason == said:
        return  # on trial it has no effect, so it would be decided on every look
    if not look.shadow:
        scaled(look.memory.past, spec.limits, look.current, look.wanted, now_ms)
        look.conclude()
    look.memory.reason = said
    action = Scale(
        id=writer.next_id(),
        service=name,
        decided_at_ms=now_ms,
        expires_at_ms=now_ms + EXPIRY_S[Kind.SCALE] * 1000,
        reason=look.reason,
        from_replicas=look.current,
        to_replicas=look.wanted,
        generation=max(service.generation + 1, now_ms),
        driver=spec.driver,
        target=spec.target or name,
    )
    writer.write(name, look.policy, look.reason, look.evidence, action=action)
    if look.shadow:
        return
    service.generation = action.generation
    if look.wanted > look.current:
        look.memory.scaled_up_ms = now_ms
    else:
        look.memory.scaled_down_ms = now_ms
    service.pending = Pending(action.id, look.wanted > look.current, look.wanted, action.expires_at_ms)
    look.memory.wished_since_ms = -1
    if spec.notify:
        _tell(name, look, action, writer)


def _tell(name: str, look: Look, scale: Scale, writer: Writer) -> None:
    cause = _cause(look)
    notify = Notify(
        id=writer.next_id(),
        service=name,
        decided_at_ms=scale.decided_at_ms,
        expires_at_ms=scale.decided_at_ms + EXPIRY_S[Kind.NOTIFY] * 1000,
        reason=look.reason,
        receiver=look.policy.spec.notify,
        title=f"{name}: {scale.from_replicas} → {scale.to_replicas} replicas: {cause}",
        body=(
            f"{name} goes from {scale.from_replicas} to {scale.to_replicas} replicas: {cause}. "
            f"Policy {look.policy.metadata.name}: {SENTENCES[look.reason]}. Decision {scale.id}."
        ),
    )
    writer.write(name, look.policy, Reason.TOLD, {"decision": scale.id}, action=notify)


def _cause(look: Look) -> str:
    """What people read first: the metric that asked for the most, beside its target; or the limit."""
    spec = look.policy.spec
    if look.reason is Reason.BELOW_MINIMUM:
        return f"the minimum is {spec.minReplicas}"
    if look.reason is Reason.ABOVE_MAXIMUM:
        return f"the maximum is {spec.maxReplicas}"
    if look.reason is Reason.FALLBACK:
        return f"no sample for {look.evidence['missing_ms'] / 1000:.0f} s"
    metrics: list[dict[str, Any]] = look.evidence["metrics"]
    first = max(metrics, key=lambda one: one["wanted"])
    side = "above" if look.wanted > look.current else "below"
    return f"{first['name']} {first['value']:.4g} is {side} {first['target']:.4g}"


def _refuse(name: str, look: Look, writer: Writer) -> None:
    """Write a refusal when it begins or its reason changes; calm needs no word before anything happened."""
    memory, began, said = look.memory, look.memory.reason == "", look.said
    if memory.reason == said:
        return
    unseen = look.reason is Reason.NO_DATA and not look.evidence.get("metrics")
    if began and unseen and memory.looked_at_ms - memory.known_ms < look.policy.spec.stale_s * 1000:
        return  # it may be about to report for the first time
    memory.reason = said
    if not (began and look.reason is Reason.WITHIN_TOLERANCE):
        writer.write(name, look.policy, look.reason, look.evidence)
