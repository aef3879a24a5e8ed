"""A policy in one row of a list: whom it is for, and what it asks for. Called by `app.cli.policy`."""

from collections.abc import Sequence

from app.history.words import counted, lasting
from app.policy import files
from app.policy.facts import PolicyDocument
from app.policy.model_alert import AlertSpec
from app.policy.model_alerting import AlertingSpec
from app.policy.model_rollout import RolloutSpec
from app.policy.model_route import RouteSpec
from app.policy.model_scale import ScaleSpec
from app.policy.model_then import Then

COLUMNS = ["policy", "kind", "for", "asks for", "mode", "fingerprint"]
FEW = 3
"""Most events that are named one by one."""

Spec = ScaleSpec | AlertSpec | AlertingSpec | RolloutSpec | RouteSpec


def row(one: PolicyDocument) -> list[str]:
    """The cells of a policy, as `COLUMNS` has them."""
    spec: Spec = files.compiled(one).spec
    return [one.name, one.kind, _whom(spec), asks(spec), spec.mode, one.fingerprint]


def _whom(spec: Spec) -> str:
    """The service, and the environment where a policy names one."""
    environment = getattr(spec, "environment", "*")
    return f"{getattr(spec, 'service', '*')}{'' if environment == '*' else f' in {environment}'}"


def asks(spec: Spec) -> str:
    """What a policy asks for, in a few words."""
    match spec:
        case AlertSpec():
            return _alert(spec)
        case AlertingSpec():
            receivers = dict.fromkeys(route.receiver for route in spec.route if route.receiver)
            inhibited = f"; {counted(len(spec.inhibit_rules), 'inhibition')}" if spec.inhibit_rules else ""
            return f"tell {', '.join(receivers)}{inhibited}"
        case RolloutSpec():
            judged = ", ".join(one.sli for one in spec.objectives if one.pass_)
            return f"{judged} kept for {_s(spec.window_s)}{_then(_failing(spec))}"
        case RouteSpec():
            events = (
                ", ".join(spec.events) if len(spec.events) <= FEW else counted(len(spec.events), "kind") + " of event"
            )
            return f"{events}{_then([name for name in type(spec.to).model_fields if getattr(spec.to, name)])}"
    schedules = f", {counted(len(spec.schedules), 'schedule')}" if spec.schedules else ""
    return f"{spec.minReplicas}-{spec.maxReplicas} replicas by {', '.join(one.name for one in spec.metrics)}{schedules}"


def untold(policies: Sequence[PolicyDocument]) -> list[str]:
    """Alerts of a set of which nobody is told and that do nothing else: no `then`, and no routes in the set."""
    found = {one.name: files.compiled(one).spec for one in policies}
    specs = {name: spec for name, spec in found.items() if spec.mode != "off"}
    if any(isinstance(spec, AlertingSpec) for spec in specs.values()):
        return []
    return [name for name, spec in specs.items() if isinstance(spec, AlertSpec) and spec.then == Then()]


def _alert(spec: AlertSpec) -> str:
    then = spec.then
    deeds = [name for name in ("scale", "rollBack", "build", "webhook") if getattr(then, name) is not None]
    who = then.notify.receiver if then.notify is not None else ""
    hold = f" for {_s(spec.for_s)}" if spec.for_s else ""
    return f"{' '.join(spec.expr.split())}{hold}{_then([*deeds, f'tell {who}' if who else 'tell as routed'])}"


def _failing(spec: RolloutSpec) -> list[str]:
    fail = spec.onFail
    return ["roll back"] * fail.rollBack + [f"tell {fail.notify}"] * bool(fail.notify)


def _then(what: list[str]) -> str:
    return f" → {', '.join(what)}" if what else ""


def _s(stretch_s: float) -> str:
    return lasting(1000 * stretch_s)
