"""Telling people of alerts, as Alertmanager does: the alerts of a service that go one way are one group.

Called by `app.policy.alert` after it has looked at the alerts of a service. A group waits, is told of
what is new, and is told again. What is inhibited, muted or silenced is not told, and that is said
once. Of an end only those are told who were told of the beginning, when nothing stands against it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from app.policy.answers import asked
from app.policy.decision import Reason
from app.policy.fold import meant_for, silenced
from app.policy.inhibit import inhibitor
from app.policy.messages import Told, notification
from app.policy.model_alert import AlertPolicy
from app.policy.routing import Way, groups_of
from app.policy.state import Group, Service, State
from app.policy.writer import Writer

Refusal = tuple[Reason, dict[str, Any]]
"""Why an alert is not told, and what the evidence says of it."""


def tell(state: State, name: str, service: Service, writer: Writer) -> None:
    """Tell people what is due of a service's alerts; groups that no alert goes to any more are dropped."""
    found = groups_of(state, name)
    for key in [key for key in service.groups if key not in found]:
        del service.groups[key]
    for key, (way, members) in found.items():
        group = service.groups.get(key)
        if group is None:
            if not any(service.alerts[one.metadata.name].firing for one in members):
                continue
            group = service.groups[key] = Group(state.now_ms + way.wait_ms)
        if state.now_ms >= group.due_ms:
            Telling(state, name, service, way, group, members).flush(writer)


@dataclass(slots=True)
class Telling:
    """One group at the moment at which it may be told."""

    state: State
    name: str
    service: Service
    way: Way
    group: Group
    members: list[AlertPolicy]
    _quiet: dict[str, Refusal] = field(default_factory=dict)

    def flush(self, writer: Writer) -> None:
        """Tell what is new, over, or due again; say what is not told; wait for the next time."""
        group, now_ms = self.group, self.state.now_ms
        firing = {one.metadata.name: one for one in self.members if self._memory(one).firing}
        again = group.told_ms >= 0 and now_ms - group.told_ms >= self.way.repeat_ms
        group.due_ms = now_ms + self.way.interval_ms if self.way.interval_ms else 0
        if firing and firing.keys() == group.told.keys() and not again and not group.refused:
            return  # nothing began, ended or is due again: as it is at almost every look
        self._forget(firing)
        if not firing and not group.told:
            del self.service.groups[self.way.key]
            return
        over = {
            one.metadata.name: one for one in self.members if one.metadata.name in group.told.keys() - firing.keys()
        }
        for name, one in (firing | over).items():
            refusal = self._refusal(one)
            if refusal is not None:
                self._quiet[name] = refusal
        self._refuse(firing, over, writer, again=again)
        new = [name for name in firing if name not in group.told and name not in self._quiet]
        loud = [one for name, one in firing.items() if name not in self._quiet]
        ended = [one for name, one in over.items() if name not in self._quiet]
        if new or ended or (again and loud):
            self._tell(loud, ended, writer, "new" if new else "resolved" if ended else "repeated")

    def _forget(self, firing: dict[str, AlertPolicy]) -> None:
        """Drop what is known of alerts that do not go this way any more, and of ends that nobody wants to hear of."""
        group = self.group
        wanted = {one.metadata.name for one in self.members if _resolves(one)}
        group.told = {name: at for name, at in group.told.items() if name in firing or name in wanted}
        group.refused = {name: said for name, said in group.refused.items() if name in firing or name in group.told}

    def _memory(self, one: AlertPolicy) -> Any:
        return self.service.alerts[one.metadata.name]

    def _refusal(self, one: AlertPolicy) -> Refusal | None:
        """What stands against telling of an alert now, in Alertmanager's order."""
        state, alerting = self.state, meant_for(self.state, self.name).alerting
        if alerting is not None and (self.way.shadow or alerting.spec.mode == "active"):
            by = inhibitor(alerting.spec.inhibit_rules, one.labels_for(self.name), dict(self._sources()))
            if by:
                return Reason.INHIBITED, {"inhibited_by": by}
        inside = next((each for each in self.way.mutes if each.contains(state.now_ms)), None)
        if inside is not None:
            return Reason.MUTED, {"muted_by": inside.name}
        if self.way.actives and not any(each.contains(state.now_ms) for each in self.way.actives):
            return Reason.MUTED, {"active_only_in": [each.name for each in self.way.actives]}
        silence = silenced(state, self.name, one.metadata.name)
        if silence is None:
            return None
        words = {"author": silence.author, "reason": silence.reason, "until_ms": silence.until_ms}
        return Reason.SILENCED, {"silenced": words}

    def _sources(self) -> Iterator[tuple[str, dict[str, str]]]:
        """Alerts that may inhibit: those that fire, and of those on trial none that is told for real."""
        for one in meant_for(self.state, self.name).alerts:
            if self._memory(one).firing and (self.way.shadow or one.spec.mode == "active"):
                yield one.metadata.name, one.labels_for(self.name)

    def _refuse(
        self, firing: dict[str, AlertPolicy], over: dict[str, AlertPolicy], writer: Writer, *, again: bool
    ) -> None:
        """Say once of each alert why it is not told, if it would be."""
        group = self.group
        for name, one in (firing | over).items():
            if name not in self._quiet:
                group.refused.pop(name, None)
                continue
            if name in firing and name in group.told and not again:
                continue
            reason, why = self._quiet[name]
            untold = "resolved" if name in over else "repeated" if name in group.told else "firing"
            said = f"{reason.value} {untold}"
            if group.refused.get(name) == said:
                continue
            group.refused[name] = said
            evidence = {"untold": untold, "receiver": self.way.receiver, **self._place()} | why
            writer.write(self.name, one, reason, evidence | {"decision": self._memory(one).decision})

    def _place(self) -> dict[str, str]:
        return {"route": self.way.route} if self.way.route else {}

    def _tell(self, loud: list[AlertPolicy], ended: list[AlertPolicy], writer: Writer, why: str) -> None:
        group, state = self.group, self.state
        told = [self._told(one, over=False) for one in loud] + [self._told(one, over=True) for one in ended]
        action = notification(self.name, self.way.receiver, told, writer.next_id(), state.now_ms)
        evidence: dict[str, Any] = {"why": why, "receiver": self.way.receiver, **self._place()}
        for word, over in (("firing", False), ("resolved", True)):
            if some := [one.evidence() for one in told if one.over == over]:
                evidence[word] = some
        evidence |= {"decision": told[0].decision, "source": self.service.newest}
        group.told_ms = state.now_ms
        for one in loud:
            group.told.setdefault(one.metadata.name, self._memory(one).since_ms)
        for one in ended:
            del group.told[one.metadata.name]
        writer.write(self.name, self.way.policy, Reason.TOLD, evidence, action=action)

    def _told(self, one: AlertPolicy, *, over: bool) -> Told:
        memory = self._memory(one)
        _, values = asked(self.state, self.service, one.spec)
        since_ms = self.group.told[one.metadata.name] if over else memory.since_ms
        # it is told again after `repeat_ms`: who hears nothing for twice as long may take it for over
        ends_ms = self.state.now_ms + (0 if over else 2 * self.way.repeat_ms)
        return Told(one, values, since_ms, memory.decision, over=over, unknown=memory.unknown, ends_ms=ends_ms)


def _resolves(one: AlertPolicy) -> bool:
    """Whether people want to hear of its end."""
    notify = one.spec.then.notify
    return notify is None or notify.send_resolved
