"""The wishes of all policies for one service put together: one scaling at most, refusals for the rest.

Called by `app.policy.evaluate`. A refusal is written when it begins or its reason changes, never
on every sample.
"""

from typing import Any

from app.policy.autoscale import scaled
from app.policy.decision import SENTENCES, Reason
from app.policy.guards import against, turned
from app.policy.look import Look
from app.policy.state import Pending, Service, State
from app.policy.words import cause
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
            elif (guard := against(state, service, name, look)) is not None:
                look.reason = guard
            else:
                chosen = True
                _decide(name, service, look, writer)
                continue
        _refuse(name, look, writer)


def _decide(name: str, service: Service, look: Look, writer: Writer) -> None:
    """Write the scaling, and have people told of it."""
    spec, now_ms = look.policy.spec, look.memory.looked_at_ms
    said = f"{look.said}|{look.wanted}"
    if look.shadow and look.memory.reason == said:
        return  # on trial it has no effect, so it would be decided on every look
    if not look.shadow:
        scaled(look.memory.past, look.bounds.limits, look.current, look.wanted, now_ms)
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
    if look.up:
        look.memory.scaled_up_ms = now_ms
    else:
        look.memory.scaled_down_ms = now_ms
    turned(service, up=look.up, now_ms=now_ms)
    service.pending = Pending(action.id, look.up, look.wanted, action.expires_at_ms)
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
    if look.reason is Reason.BELOW_MINIMUM:
        return f"the minimum is {look.bounds.limits.least}{look.bounds.told()}"
    if look.reason is Reason.ABOVE_MAXIMUM:
        return f"the maximum is {look.bounds.limits.most}{look.bounds.told()}"
    if look.reason is Reason.FALLBACK:
        return f"no sample for {look.evidence['missing_ms'] / 1000:.0f} s"
    if look.reason is Reason.INACTIVE:
        return "no metric is above its activation"
    metrics: list[dict[str, Any]] = look.evidence["metrics"]
    first = max(metrics, key=lambda one: one["wanted"])
    return cause(first, up=look.up)


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
