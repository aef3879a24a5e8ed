"""Which ways an alert goes to people: routes as Alertmanager walks them, or straight to its own receiver. Pure.

Called by `app.policy.telling`. All alerts of one service that go one way are one group.
"""

from typing import Final, NamedTuple

from app.policy.fold import meant_for
from app.policy.intervals import NamedInterval
from app.policy.matchers import all_hold
from app.policy.model_alert import AlertPolicy
from app.policy.model_alerting import AlertingPolicy, Route
from app.policy.state import State


class Way(NamedTuple):
    """One way to one receiver; `key` names it within a service, `policy` is whose decision it is to tell."""

    key: str
    route: str
    receiver: str
    wait_ms: int
    interval_ms: int
    repeat_ms: int
    policy: AlertPolicy | AlertingPolicy
    shadow: bool
    mutes: tuple[NamedInterval, ...] = ()
    actives: tuple[NamedInterval, ...] = ()


class _Above(NamedTuple):
    """What a route takes over from those above it."""

    key: str = ""
    receiver: str = ""
    wait_s: float = 30.0
    interval_s: float = 300.0
    repeat_s: float = 14_400.0


Groups = dict[str, tuple[Way, list[AlertPolicy]]]
"""By the keys of their ways: the alerts that go each way."""

_groups: dict[tuple[str, str], Groups] = {}
_MANY: Final = 100_000


def groups_of(state: State, service: str) -> Groups:
    """The alerts of a service by the ways that they go; found once for each set of policies."""
    key = (state.fingerprint, service)
    found = _groups.get(key)
    if found is None:
        if len(_groups) >= _MANY:
            _groups.clear()
        found, meant = {}, meant_for(state, service)
        for alert in meant.alerts:
            for way in ways(alert, service, meant.alerting):
                found.setdefault(way.key, (way, []))[1].append(alert)
        _groups[key] = found
    return found


def ways(alert: AlertPolicy, service: str, alerting: AlertingPolicy | None) -> tuple[Way, ...]:
    """The ways of an alert: its own receiver, else those of the routes; none if there is neither."""
    trial = alert.spec.mode == "shadow"
    own = alert.spec.then.notify
    if own is not None and own.receiver:
        name = alert.metadata.name
        key = f"{name} > {own.receiver}{' (trial)' if trial else ''}"
        return (Way(key, "", own.receiver, 0, 0, round(own.repeat_interval_s * 1000), alert, trial),)
    if alerting is None:
        return ()
    found = _walk(alerting, alerting.spec.route, alert.labels_for(service), _Above())
    if trial:
        return tuple(one._replace(key=f"{one.key} (trial)", policy=alert, shadow=True) for one in found)
    return tuple(found)


def _walk(policy: AlertingPolicy, route: Route, labels: dict[str, str], above: _Above) -> list[Way]:
    """Alertmanager's walk: the routes below that match, up to the first that does not say `continue`; else this one."""
    if not all_hold(route.wanted, labels):
        return []
    here = _Above(
        above.key,
        route.receiver or above.receiver,
        above.wait_s if route.group_wait_s is None else route.group_wait_s,
        above.interval_s if route.group_interval_s is None else route.group_interval_s,
        above.repeat_s if route.repeat_interval_s is None else route.repeat_interval_s,
    )
    found: list[Way] = []
    for place, one in enumerate(route.routes):
        twins = sum(other.wanted == one.wanted for other in route.routes[:place])
        name = f"{here.key}/{{{', '.join(map(str, one.wanted))}}}{f'#{twins}' if twins else ''}"
        below = _walk(policy, one, labels, here._replace(key=name))
        found += below
        if below and not one.continue_:
            break
    return found or [_way(policy, route, here)]


def _way(policy: AlertingPolicy, route: Route, here: _Above) -> Way:
    named, shadow = policy.spec.intervals, policy.spec.mode == "shadow"
    path = here.key or "/"
    return Way(
        f"{path} > {here.receiver}{' (trial)' if shadow else ''}",
        path,
        here.receiver,
        round(here.wait_s * 1000),
        round(here.interval_s * 1000),
        round(here.repeat_s * 1000),
        policy,
        shadow,
        tuple(named[name] for name in route.mute_time_intervals),
        tuple(named[name] for name in route.active_time_intervals),
    )
