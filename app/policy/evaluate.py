"""What should happen to one service now: the Scale policies asked, weakened, and put together.

Called by `app.policy.step` for services that a fact touched and for those whose time has come.
Writes down what each policy refused when the refusal begins or its reason changes, and what was
decided.
"""

from dataclasses import dataclass
from typing import Any

from app.policy.decision import SENTENCES, Reason
from app.policy.fold import paused, policies_for
from app.policy.model import ScalePolicy
from app.policy.scale import Wish, clamped, held, stabilized, wish_of
from app.policy.state import Memory, Pending, Service, State, remind
from app.policy.writer import Writer
from tasks.contract import EXPIRY_S, Kind, Notify, Scale


@dataclass
class Look:
    """One policy's view of a service: what it wants and why, with the evidence."""

    policy: ScalePolicy
    memory: Memory
    reason: Reason
    wanted: int
    evidence: dict[str, Any]


def evaluate(state: State, name: str, writer: Writer) -> None:
    """Decide about a service: at most one scaling, by the policy that wants the most replicas."""
    service = state.services[name]
    policies = policies_for(state, name)
    ready = [one for one in policies if _is_due(service, one, state.now_ms)]
    _forget_stale(state, service, policies)
    _series_limit(name, service, policies, writer)
    current = _current(service)
    looks = [_look(state, service, one, current) for one in ready]
    for shadow in (False, True):
        mine = [look for look in looks if (look.policy.spec.mode == "shadow") is shadow]
        others = [service.memories[p.metadata.name].wish for p in policies if p not in ready and not shadow]
        _settle(state, name, mine, max(others, default=-1), writer)
    _remind(state, name, service, policies)


def _forget_stale(state: State, service: Service, policies: list[ScalePolicy]) -> None:
    """Drop series that no policy takes for alive any more; a sample brings one back."""
    fresh_from = state.read_until_ms - round(max((one.spec.stale_s for one in policies), default=0) * 1000)
    if any(one.at_ms <= fresh_from for one in service.series.values()):
        service.series = {key: one for key, one in service.series.items() if one.at_ms > fresh_from}


def _is_due(service: Service, policy: ScalePolicy, now_ms: int) -> bool:
    memory = service.memories.setdefault(policy.metadata.name, Memory())
    return memory.looked_at_ms < 0 or now_ms - memory.looked_at_ms >= round(policy.spec.every_s * 1000)


def _remind(state: State, name: str, service: Service, policies: list[ScalePolicy]) -> None:
    """Look again when a policy may: holds, windows, pauses and staleness all end by time alone."""
    times = [
        service.memories[one.metadata.name].looked_at_ms + round(one.spec.every_s * 1000)
        for one in policies
        if service.series or service.observed
    ]
    if times:
        remind(state, name, service, max(min(times), state.now_ms + 1))


def _current(service: Service) -> int:
    """Replicas now: as observed, else as many label sets as have reported."""
    observed = service.observed
    if observed is not None:
        return observed.replicas
    return len({key.split("\x1f", 1)[-1] for key in service.series})


def _look(state: State, service: Service, policy: ScalePolicy, current: int) -> Look:
    """Ask one policy: metrics → wanted → held → stabilized → clamped, each kept as evidence."""
    spec, now_ms = policy.spec, state.now_ms
    memory = service.memories[policy.metadata.name]
    memory.looked_at_ms = now_ms
    if memory.first_looked_ms < 0:
        memory.first_looked_ms = now_ms
    evidence: dict[str, Any] = {"current": current, "source": service.source}
    look = Look(policy, memory, Reason.WITHIN_TOLERANCE, current, evidence)
    if current == 0:
        look.reason = Reason.NO_DATA
        return look
    if not spec.minReplicas <= current <= spec.maxReplicas:
        look.wanted = clamped(spec, current)
        look.reason = Reason.BELOW_MINIMUM if current < spec.minReplicas else Reason.ABOVE_MAXIMUM
        evidence["clamped"] = look.wanted
        return look
    wishes, sample_at_ms = _wishes(state, service, policy, current)
    evidence |= {"metrics": [wish._asdict() for wish in wishes], "sample_at_ms": sample_at_ms}
    failed = len(wishes) < len(spec.metrics)
    wanted = max((wish.wanted for wish in wishes), default=current)
    if not wishes or (failed and wanted <= current):
        look.reason = Reason.NO_DATA
        memory.wished_since_ms = -1
        return look
    _weaken(look, wanted, current, now_ms)
    return look


def _wishes(state: State, service: Service, policy: ScalePolicy, current: int) -> tuple[list[Wish], int]:
    """The wishes of the metrics that have fresh samples, and the newest sample's own time."""
    fresh_from = state.read_until_ms - round(policy.spec.stale_s * 1000)
    wishes, newest = [], 0
    for metric in policy.spec.metrics:
        series = [one for one in service.series.values() if one.name == metric.name and one.at_ms > fresh_from]
        wish = wish_of(metric, series, current, policy.spec.tolerance)
        if wish is not None:
            wishes.append(wish)
            newest = max(newest, *(one.at_ms for one in series))
    return wishes, newest


def _weaken(look: Look, wanted: int, current: int, now_ms: int) -> None:
    """The stages that may only weaken a wish; the first that turns it into no change is the reason."""
    spec, memory = look.policy.spec, look.memory
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


def _settle(state: State, name: str, looks: list[Look], floor: int, writer: Writer) -> None:
    """The highest wish is done, unless something stands against it; all others are refusals.

    `floor` is what a policy that is not asked this time wanted last.
    """
    service = state.services[name]
    for look in looks:
        look.memory.wish = look.wanted
    highest = max((look.wanted for look in looks), default=-1)
    chosen = False
    for look in looks:
        current = look.evidence["current"]
        if look.wanted == current:
            pass
        elif look.wanted < max(highest, floor) or chosen:
            look.evidence["highest"] = max(highest, floor)
            look.reason = Reason.OUTVOTED
        elif (against := _against(state, service, name, look)) is not None:
            look.reason = against
        else:
            chosen = True
            _decide(state, name, service, look, writer)
            continue
        _refuse(name, look, writer)


def _against(state: State, service: Service, name: str, look: Look) -> Reason | None:
    """What forbids a scaling that is wanted; the evidence says more."""
    pause = paused(state, name)
    if pause is not None:
        look.evidence["paused"] = {"author": pause.author, "reason": pause.reason, "until_ms": pause.until_ms}
        return Reason.PAUSED
    pending = service.pending
    if pending is None or look.policy.spec.mode == "shadow":
        return None
    if state.now_ms >= pending.until_ms:
        service.pending = None
    elif pending.up == (look.wanted > look.evidence["current"]):
        look.evidence["pending"] = pending.id
        return Reason.BACKING_OFF if pending.failed else Reason.SCALE_PENDING
    return None


def _decide(state: State, name: str, service: Service, look: Look, writer: Writer) -> None:
    """Write the scaling, and have people told of it."""
    spec, now_ms = look.policy.spec, state.now_ms
    current, shadow = look.evidence["current"], spec.mode == "shadow"
    if shadow and look.memory.reason == f"{look.reason}:{look.wanted}":
        return  # on trial it has no effect, so it would be decided on every look
    look.memory.reason = f"{look.reason}:{look.wanted}" if shadow else look.reason
    generation = max(service.generation + 1, now_ms)
    action = Scale(
        id=writer.next_id(),
        service=name,
        decided_at_ms=now_ms,
        expires_at_ms=now_ms + EXPIRY_S[Kind.SCALE] * 1000,
        reason=look.reason,
        from_replicas=current,
        to_replicas=look.wanted,
        generation=generation,
        driver=spec.driver,
        target=spec.target or name,
    )
    writer.write(name, look.policy, look.reason, look.evidence, action=action)
    if shadow:
        return
    service.generation = generation
    service.pending = Pending(action.id, look.wanted > current, look.wanted, action.expires_at_ms)
    look.memory.wished_since_ms = -1
    if spec.notify:
        _tell(name, look, action, writer)


def _tell(name: str, look: Look, scale: Scale, writer: Writer) -> None:
    metrics = ", ".join(f"{one['name']} {one['value']:.4g} (target {one['target']:.4g})" for one in _metrics(look))
    notify = Notify(
        id=writer.next_id(),
        service=name,
        decided_at_ms=scale.decided_at_ms,
        expires_at_ms=scale.decided_at_ms + EXPIRY_S[Kind.NOTIFY] * 1000,
        reason=look.reason,
        receiver=look.policy.spec.notify,
        title=f"{name}: {scale.from_replicas} → {scale.to_replicas} replicas",
        body=f"{SENTENCES[look.reason].capitalize()}: {metrics or 'limits'}. Decision {scale.id}.",
    )
    writer.write(name, look.policy, Reason.TOLD, {"decision": scale.id}, action=notify)


def _metrics(look: Look) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = look.evidence.get("metrics", [])
    return found


def _refuse(name: str, look: Look, writer: Writer) -> None:
    """Write a refusal when it begins or its reason changes; calm needs no word before anything happened."""
    memory, began = look.memory, look.memory.reason == ""
    if memory.reason == look.reason:
        return
    unseen = look.reason is Reason.NO_DATA and not look.evidence.get("metrics")
    if began and unseen and memory.looked_at_ms - memory.first_looked_ms < look.policy.spec.stale_s * 1000:
        return  # it may be about to report for the first time
    memory.reason = look.reason
    if not (began and look.reason is Reason.WITHIN_TOLERANCE):
        writer.write(name, look.policy, look.reason, look.evidence)


def _series_limit(name: str, service: Service, policies: list[ScalePolicy], writer: Writer) -> None:
    if service.series_refused and policies and not service.series_told:
        service.series_told = True
        evidence = {"kept": len(service.series), "refused": service.series_refused}
        writer.write(name, policies[0], Reason.SERIES_LIMIT, evidence)
