"""When a service is looked at: its policies asked as often as they may be, its timer set, its past dropped.

Called by `app.policy.step` for services that a fact touched and for those whose time has come.
What a policy wants is `app.policy.look`'s; what becomes of it `app.policy.settle`'s.
"""

from collections.abc import Sequence

from app.policy.alert import watch
from app.policy.decision import Reason
from app.policy.fold import fired, meant_for
from app.policy.look import look_at
from app.policy.model_alert import AlertPolicy
from app.policy.model_rollout import RolloutPolicy
from app.policy.model_scale import ScalePolicy
from app.policy.rollout import due, watch_over
from app.policy.settle import settle
from app.policy.state import FORGET_MS, RELEASE_MS, Memory, Service, State, remind
from app.policy.writer import Writer


def evaluate(state: State, name: str, writer: Writer) -> None:
    """Decide about a service: at most one scaling, by the policy that wants the most replicas.

    Policies on trial are put together by themselves: they neither outvote nor are outvoted by
    those in force.
    """
    service = state.services[name]
    if state.now_ms >= _forgotten_ms(service):
        for alert, decision in sorted(fired(service)):
            writer.write(name, None, Reason.ALERT_DROPPED, {"alert": alert, "decision": decision})
        del state.services[name]
        return
    watch_over(state, name, writer)
    if not (service.series or service.observed or service.memories or service.alerts):
        remind(state, name, service, max(min([_forgotten_ms(service), *due(state, name)]), state.now_ms + 1))
        return  # only deploys and changes tell of it: there is nothing that could be scaled
    meant = meant_for(state, name)
    policies, alerts = meant.scales, meant.alerts
    _forget_stale(state, service, [*policies, *alerts, *meant.rollouts])
    _series_limit(name, service, policies, writer)
    for mode in ("active", "shadow"):
        mine = [one for one in policies if one.spec.mode == mode]
        asked = [one for one in mine if _may_look(service, one, state.now_ms)]
        looks = [look_at(state, service, one) for one in asked]
        names = {one.metadata.name for one in asked}
        floor = max((service.memories[n].wish for one in mine if (n := one.metadata.name) not in names), default=-1)
        if looks:
            settle(state, name, looks, floor, writer)
    watch(state, name, service, alerts, writer)
    _remind(state, name, service, policies, alerts)


def _forgotten_ms(service: Service) -> int:
    """When a service is forgotten if no more is heard of it."""
    return service.heard_ms + (RELEASE_MS if service.releases else FORGET_MS)


def _may_look(service: Service, policy: ScalePolicy, now_ms: int) -> bool:
    """Whether a policy is looked at; for the first time not at once, so that what belongs together can arrive."""
    name = policy.metadata.name
    if name not in service.memories:
        service.memories[name] = Memory(known_ms=now_ms, looked_at_ms=now_ms)
    return now_ms - service.memories[name].looked_at_ms >= round(policy.spec.every_s * 1000)


def _forget_stale(
    state: State, service: Service, policies: Sequence[ScalePolicy | AlertPolicy | RolloutPolicy]
) -> None:
    """Drop series that no policy takes for alive any more; a sample brings one back."""
    fresh_from = state.read_until_ms - round(max((one.spec.stale_s for one in policies), default=0) * 1000)
    if any(one.at_ms <= fresh_from for one in service.series.values()):
        service.series = {key: one for key, one in service.series.items() if one.at_ms > fresh_from}


def _series_limit(name: str, service: Service, policies: list[ScalePolicy], writer: Writer) -> None:
    if service.series_refused and policies and not service.series_told:
        service.series_told = True
        evidence = {"kept": len(service.series), "refused": service.series_refused}
        writer.write(name, policies[0], Reason.SERIES_LIMIT, evidence)


def _remind(state: State, name: str, service: Service, policies: list[ScalePolicy], alerts: list[AlertPolicy]) -> None:
    """Look again when a policy may (holds, windows, pauses and staleness end by time alone), or to forget."""
    times = [_forgotten_ms(service), *due(state, name)]
    if service.series or service.observed or service.alerts:
        times += [service.alerts[one.metadata.name].looked_at_ms + round(one.spec.every_s * 1000) for one in alerts]
        times += [service.memories[one.metadata.name].looked_at_ms + round(one.spec.every_s * 1000) for one in policies]
        times += [group.due_ms for group in service.groups.values() if group.due_ms]
    remind(state, name, service, max(min(times), state.now_ms + 1))
