"""Alerts of a service: inactive → pending → firing, as Prometheus has them, and people told.

Called by `app.policy.evaluate`. Unknown neither fires nor resolves: what was so stays, and that it
is unknown is said.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.policy.answers import Answers
from app.policy.decision import SENTENCES, Reason
from app.policy.expression import compiled
from app.policy.fold import silenced
from app.policy.model_alert import TEMPLATE, AlertPolicy
from app.policy.state import AlertMemory, Pause, Service, State
from app.policy.writer import Writer
from tasks.contract import EXPIRY_S, Kind, Notify

Values = Mapping[str, float | bool | None]


def watch(state: State, name: str, service: Service, policies: list[AlertPolicy], writer: Writer) -> None:
    """Ask each alert that may be asked now, and write what changed."""
    for policy in policies:
        memory = service.alerts.setdefault(policy.metadata.name, AlertMemory())
        if memory.looked_at_ms >= 0 and state.now_ms - memory.looked_at_ms < round(policy.spec.every_s * 1000):
            continue
        memory.looked_at_ms = state.now_ms
        if memory.first_ms < 0:
            memory.first_ms = state.now_ms
        answers = Answers(state, service, round(policy.spec.stale_s * 1000))
        found, values = compiled(policy.spec.expr).evaluate(answers.answer)
        silence = silenced(state, name, policy.metadata.name)
        alert = Alert(name, policy, memory, state.now_ms, values, service.source, silence)
        alert.advance(found)
        alert.tell(writer)


@dataclass
class Alert:
    """One alert of one service at one look."""

    service: str
    policy: AlertPolicy
    memory: AlertMemory
    now_ms: int
    values: Values
    source: str
    silence: Pause | None = None

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

    def tell(self, writer: Writer) -> None:
        """Write what is new: that it is unknown, pending, firing, firing still, or over."""
        reason, memory = self._reason(), self.memory
        if reason is None or (memory.reason == reason.value and not self._due_again(reason)):
            return
        over = reason in {Reason.ALERT_RESOLVED, Reason.ALERT_INACTIVE}
        action = self._notification(reason, writer.next_id()) if self._is_told(reason) else None
        memory.reason = "" if over else reason.value
        memory.told_ms = -1 if over else self.now_ms if action is not None else memory.told_ms
        evidence: dict[str, Any] = {
            "expr": self.policy.spec.expr,
            "values": self.values,
            "labels": self._labels,
            "source": self.source,
        }
        if self.silence is not None:
            evidence["silenced"] = {"author": self.silence.author, "reason": self.silence.reason}
        writer.write(self.service, self.policy, reason, evidence, action=action)

    def _reason(self) -> Reason | None:
        """What is to be said; None if it is calm and was."""
        memory = self.memory
        if memory.unknown:
            # it may be about to report for the first time
            early = not memory.heard and self.now_ms - memory.first_ms < round(self.policy.spec.stale_s * 1000)
            return None if early else Reason.ALERT_UNKNOWN
        if memory.firing:
            return Reason.ALERT_FIRING
        if memory.since_ms >= 0:
            return Reason.ALERT_PENDING
        if memory.reason == Reason.ALERT_UNKNOWN and memory.told_ms < 0:
            return Reason.ALERT_INACTIVE
        return Reason.ALERT_RESOLVED if memory.reason else None

    def _due_again(self, reason: Reason) -> bool:
        telling = self.policy.spec.notify
        if reason is not Reason.ALERT_FIRING or telling is None or self.silence is not None:
            return False
        return self.memory.told_ms < 0 or self.now_ms - self.memory.told_ms >= round(telling.repeat_interval_s * 1000)

    def _is_told(self, reason: Reason) -> bool:
        """Whether people are told: of the end only those who were told of the beginning."""
        telling = self.policy.spec.notify
        if telling is None or self.silence is not None:
            return False
        if reason is Reason.ALERT_FIRING:
            return self._due_again(reason)
        return reason is Reason.ALERT_RESOLVED and telling.send_resolved and self.memory.told_ms >= 0

    def _notification(self, reason: Reason, action_id: str) -> Notify:
        spec, over = self.policy.spec, reason is Reason.ALERT_RESOLVED
        assert spec.notify is not None
        texts = {key: self._filled(text) for key, text in spec.annotations.items()}
        summary = texts.get("summary") or f"{self.policy.metadata.name}: {spec.expr}"
        told = ", ".join(f"{call} is {one:.6g}" for call, one in self.values.items() if isinstance(one, float))
        body = [texts.get("description", ""), SENTENCES[reason], told, f"Decision {action_id}"]
        return Notify(
            id=action_id, service=self.service, decided_at_ms=self.now_ms, reason=reason.value,
            expires_at_ms=self.now_ms + EXPIRY_S[Kind.NOTIFY] * 1000, receiver=spec.notify.receiver,
            title=f"{'resolved' if over else 'firing'}: {self.service}: {summary}",
            body=". ".join(filter(None, body)) + ".",
            severity="info" if over else spec.labels.get("severity", "warning"),
        )  # fmt: skip

    @property
    def _labels(self) -> dict[str, str]:
        return {"alertname": self.policy.metadata.name, "service": self.service} | self.policy.spec.labels

    def _filled(self, text: str) -> str:
        """A template with its words; the value is that of the first call."""
        value = next((f"{one:.6g}" for one in self.values.values() if isinstance(one, float)), "unknown")
        labels = self._labels
        return TEMPLATE.sub(
            lambda found: value if found[1] == "$value" else labels.get(found[1].removeprefix("$labels."), ""), text
        )
