"""Alerts in sentences: what would have had to be different for each reason of one, and of telling people. Pure.

Called by `app.history.answers`, with the Alert that was in force if it is known. What an alert has
done beside telling people is answered there, as any other scaling or rollback.
"""

from collections.abc import Callable
from typing import Any, Final

from app.history.words import lasting, plain
from app.policy.decision import Decision, Reason
from app.policy.model_alert import AlertSpec

Answer = Callable[[Decision, AlertSpec | None], list[str]]


def _false(decision: Decision) -> str:
    return f"`{decision.evidence.get('expr') or 'the expression'}` would have to be false"


def _pending(decision: Decision, spec: AlertSpec | None) -> list[str]:
    hold = f" for {lasting(1000 * spec.for_s)}" if spec else ""
    return [f"the expression has to stay true{hold} (`for`) for it to fire; for it to be over {_false(decision)}"]


def _firing(decision: Decision, spec: AlertSpec | None) -> list[str]:
    kept = spec.keep_firing_for_s if spec else 0
    for_so_long = f" for {lasting(1000 * kept)} (`keep_firing_for`)" if kept else ""
    return [f"{_false(decision)}{for_so_long}; missing data do not end it"]


def _over(decision: Decision, spec: AlertSpec | None) -> list[str]:
    hold = spec.for_s if spec else 0
    for_so_long = f" for {lasting(1000 * hold)} (`for`)" if hold else ""
    return [f"it fires again when `{decision.evidence.get('expr') or 'the expression'}` is true{for_so_long}"]


def _unknown(decision: Decision, spec: AlertSpec | None) -> list[str]:
    values: Any = decision.evidence.get("values") or {}
    missing = [call for call, value in values.items() if value is None]
    fresh = f" younger than {lasting(1000 * spec.stale_s)} (`stale`)" if spec else ""
    of = f"{plain(missing)} {'has' if len(missing) == 1 else 'have'}" if missing else "what the expression asks for has"
    return [f"{of} to come to a number: it needs samples{fresh}, and nothing may be divided by 0"]


def _acts(decision: Decision, _: AlertSpec | None) -> list[str]:
    return [f"without `then.{decision.evidence.get('deed')}` in policy {decision.policy} it would only be told"]


def _told(decision: Decision, _: AlertSpec | None) -> list[str]:
    evidence = decision.evidence
    if "why" not in evidence:
        return [f"it goes with decision {evidence.get('decision')}; without that nobody would be told"]
    who = evidence.get("receiver")
    if "route" in evidence:
        return [f"route {evidence['route']} has {who} told; a silence, an inhibition or a mute would have kept it back"]
    return [f"`then.notify` of the alert has {who} told; a silence or an inhibition would have kept it back"]


def _inhibited(decision: Decision, _: AlertSpec | None) -> list[str]:
    return [f"alert {decision.evidence.get('inhibited_by')} has to be over (`inhibit_rules`); it is told of then"]


def _muted(decision: Decision, _: AlertSpec | None) -> list[str]:
    by, only = decision.evidence.get("muted_by"), decision.evidence.get("active_only_in") or "its intervals"
    when = f"outside of {by} (`mute_time_intervals`)" if by else f"within {plain(only)} (`active_time_intervals`)"
    return [f"it is told {when}, if there is something to tell then"]


def _silenced(decision: Decision, _: AlertSpec | None) -> list[str]:
    return [
        f"`headrace unsilence {decision.service}` ends it, with service and `--alert` as it was silenced; so does time"
    ]


def _dropped(_: Decision, __: AlertSpec | None) -> list[str]:
    again = "with its policy and its service back it is asked again"
    return [f"whoever was told that it fires has to close it by hand; {again}"]


ANSWERS: Final[dict[Reason, Answer]] = {
    Reason.ALERT_PENDING: _pending,
    Reason.ALERT_FIRING: _firing,
    Reason.ALERT_RESOLVED: _over,
    Reason.ALERT_UNKNOWN: _unknown,
    Reason.ALERT_INACTIVE: _over,
    Reason.ALERT_DROPPED: _dropped,
    Reason.ALERT_ACTS: _acts,
    Reason.TOLD: _told,
    Reason.INHIBITED: _inhibited,
    Reason.MUTED: _muted,
    Reason.SILENCED: _silenced,
}
"""What would have had to be different, for every reason of an alert."""
