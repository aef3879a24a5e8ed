"""When a service is looked at: its policies asked as often as they may be, its timer set, its past dropped.

Called by `app.policy.step` for services that a fact touched and for those whose time has come.
What a policy wants is `app.policy.look`'s; what becomes of it `app.policy.settle`'s.
"""

from app.policy.alert import watch
from app.policy.decision import Reason
from app.policy.fold import Meant, fired, meant_for
from app.policy.look import look_at
from app.policy.model_scale import ScalePolicy
from app.policy.rollout import due, watch_over
from app.policy.settle import settle
from app.policy.state import (
    ALONE_MS,
    FORGET_MS,
    RELEASE_MS,
    AlertMemory,
    Memory,
    Service,
    State,
    may_look,
    ready_ms,
    remind,
)
from app.policy.writer import Writer


def evaluate(state: State, name: str, writer: Writer, *, alone: bool = False) -> None:
    """Decide about a service: at most one scaling, by the policy that wants the most replicas.

    `alone`: no fact touched it, its time has come.
    Policies on trial are put together by themselves: they neither outvote nor are outvoted by
    those in force.
    """
    service = state.services[name]
    forgotten_ms = service.heard_ms + (RELEASE_MS if service.releases else FORGET_MS)
    if state.now_ms >= forgotten_ms:
        for alert, decision in sorted(fired(service)):
            writer.write(name, None, Reason.ALERT_DROPPED, {"alert": alert, "decision": decision})
        del state.services[name]
        return
    watch_over(state, name, writer)
    if not (service.series or service.observed or service.memories or service.alerts):
        remind(state, name, service, max(min([forgotten_ms, *due(state, name)]), state.now_ms + 1))
        return  # only deploys and changes tell of it: there is nothing that could be scaled
    meant = meant_for(state, name)
    _forget_stale(state, service, meant.stale_ms)
    _series_limit(name, service, meant.scales, writer)
    for party in meant.parties:
        asked = [one for one in party if _may_look(service, one, state.now_ms, alone=alone)]
        if asked:
            looks = [look_at(state, service, one) for one in asked]
            settle(state, name, looks, _floor(service, party, asked), writer)
    watch(state, name, meant.alerts, writer, alone=alone)
    _remind(state, name, service, meant, forgotten_ms)


def _may_look(service: Service, policy: ScalePolicy, now_ms: int, *, alone: bool) -> bool:
    """Whether a policy is looked at; for the first time not at once, so that what belongs together can arrive."""
    memory = service.memories.get(policy.metadata.name)
    if memory is None:
        memory = service.memories[policy.metadata.name] = Memory(known_ms=now_ms, looked_at_ms=now_ms)
    return may_look(memory, policy.spec.every_ms, now_ms, alone=alone)


def _floor(service: Service, party: list[ScalePolicy], asked: list[ScalePolicy]) -> int:
    """The most that a policy which is not asked this time wanted last; -1 if all are asked."""
    if len(asked) == len(party):
        return -1
    names = {one.metadata.name for one in asked}
    return max(service.memories[name].wish for one in party if (name := one.metadata.name) not in names)


def _forget_stale(state: State, service: Service, stale_ms: int) -> None:
    """Drop series that no policy takes for alive any more; a sample brings one back."""
    fresh_from = state.read_until_ms - stale_ms
    for one in service.series.values():
        if one.at_ms <= fresh_from:
            service.series = {key: one for key, one in service.series.items() if one.at_ms > fresh_from}
            return


def _series_limit(name: str, service: Service, policies: list[ScalePolicy], writer: Writer) -> None:
    if service.series_refused and policies and not service.series_told:
        service.series_told = True
        evidence = {"kept": len(service.series), "refused": service.series_refused}
        writer.write(name, policies[0], Reason.SERIES_LIMIT, evidence)


def _remind(state: State, name: str, service: Service, meant: Meant, forgotten_ms: int) -> None:
    """Look again when a policy may (holds, windows, pauses and staleness end by time alone), or to forget."""
    alerts, memories = service.alerts, service.memories
    asked: list[tuple[Memory | AlertMemory, int]] = [
        (alerts[one.metadata.name], one.spec.every_ms) for one in meant.alerts
    ]
    asked += [(memories[one.metadata.name], one.spec.every_ms) for one in meant.scales]
    busy = service.groups or service.watches or service.undone
    service.calm_ms = 0 if busy else min([ready_ms(*one) for one in asked], default=0)
    times = [forgotten_ms, *due(state, name)] if busy else [forgotten_ms]
    if service.series or service.observed or alerts:
        times += [memory.looked_at_ms + max(every_ms, ALONE_MS) for memory, every_ms in asked]
        times += [group.due_ms for group in service.groups.values() if group.due_ms]
    remind(state, name, service, max(min(times), state.now_ms + 1))
