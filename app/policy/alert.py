"""Alerts of a service: inactive → pending → firing, as Prometheus has them.

Called by `app.policy.evaluate`. Unknown neither fires nor resolves: what was so stays, and that it
is unknown is said. Who is told is `app.policy.telling`'s, what else is done `app.policy.then`'s.
"""

from dataclasses import dataclass

from app.policy.answers import asked
from app.policy.decision import Reason
from app.policy.messages import Values
from app.policy.model_alert import AlertPolicy
from app.policy.state import AlertMemory, Service, State, may_look
from app.policy.telling import tell
from app.policy.then import Deeds
from app.policy.writer import Writer


def watch(state: State, name: str, policies: list[AlertPolicy], writer: Writer, *, alone: bool) -> None:
    """Ask each alert that may be asked now, write what changed, have done what is to be done, and people told."""
    service, now_ms, firing = state.services[name], state.now_ms, False
    for policy in policies:
        memory = service.alerts.get(policy.metadata.name)
        if memory is None:
            before = now_ms - policy.spec.every_ms
            memory = service.alerts[policy.metadata.name] = AlertMemory(looked_at_ms=before, first_ms=now_ms)
        if may_look(memory, policy.spec.every_ms, now_ms, alone=alone):
            _look(state, name, service, policy, writer)
        firing = firing or memory.firing
    if firing or service.groups:
        tell(state, name, service, writer)


def _look(state: State, name: str, service: Service, policy: AlertPolicy, writer: Writer) -> None:
    memory = service.alerts[policy.metadata.name]
    found, values = asked(state, service, policy.spec)
    alert, fired = Alert(name, policy, memory, state.now_ms, values), memory.firing
    alert.advance(found)
    alert.say(service.newest, writer)
    if memory.firing and not fired:
        Deeds(state, name, service, policy, values, writer).do()


@dataclass(slots=True)
class Alert:
    """One alert of one service at one look."""

    service: str
    policy: AlertPolicy
    memory: AlertMemory
    now_ms: int
    values: Values

    def advance(self, found: bool | None) -> None:  # noqa: FBT001 - a value, not a switch
        """The next state; unknown leaves it as it is."""
        spec, memory = self.policy.spec, self.memory
        memory.unknown, memory.heard = found is None, memory.heard or found is not None
        if found:
            memory.true_ms = self.now_ms
            if memory.since_ms < 0:
                memory.since_ms = self.now_ms
            memory.firing = memory.firing or self.now_ms - memory.since_ms >= round(spec.for_s * 1000)
        elif found is False:
            kept = memory.firing and self.now_ms - memory.true_ms < round(spec.keep_firing_for_s * 1000)
            if not kept:
                memory.firing, memory.since_ms = False, -1

    def say(self, source: str, writer: Writer) -> None:
        """Write what is new: that it is unknown, pending, firing, or over."""
        reason, memory = self._reason(), self.memory
        if reason is None or memory.reason == reason.value:
            return
        over = reason in {Reason.ALERT_RESOLVED, Reason.ALERT_INACTIVE}
        memory.reason, memory.decision = "" if over else reason.value, writer.next_id()
        memory.fired = not over and (memory.fired or reason is Reason.ALERT_FIRING)
        evidence = {
            "expr": self.policy.spec.expr,
            "values": self.values,
            "labels": self.policy.labels_for(self.service),
            "source": source,
        }
        writer.write(self.service, self.policy, reason, evidence)

    def _reason(self) -> Reason | None:
        """What is to be said; None if it is calm and was."""
        memory = self.memory
        if memory.unknown:
            # it may be about to report for the first time
            early = not memory.heard and self.now_ms - memory.first_ms < self.policy.spec.stale_ms
            return None if early else Reason.ALERT_UNKNOWN
        if memory.firing:
            return Reason.ALERT_FIRING
        if memory.since_ms >= 0:
            return Reason.ALERT_PENDING
        if memory.reason == Reason.ALERT_UNKNOWN and not memory.fired:
            return Reason.ALERT_INACTIVE
        return Reason.ALERT_RESOLVED if memory.reason else None
