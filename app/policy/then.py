"""What else is done when an alert begins to fire: a scaling, a rollback, a build, a webhook.

Called by `app.policy.alert` once for each time that an alert fires. Each deed is a decision of its
own, or a refusal that says what stands against it; what is refused is not made up for later. A
silence keeps people from being told, and nothing else.
"""

from dataclasses import dataclass
from typing import Any, Final

from app.policy.decision import Reason
from app.policy.guards import Move, pause_of, pending, standing, turned
from app.policy.messages import Values, filled, value_of
from app.policy.model_alert import AlertPolicy
from app.policy.model_then import Back, NewBuild, Step, Webhook
from app.policy.roll_back import How, note, roll_back
from app.policy.state import Pending, Service, State
from app.policy.writer import Writer
from tasks.contract import EXPIRY_S, Action, Build, CallWebhook, Kind, RollBack, Scale

DEPLOY_HOLD_MS: Final = 600_000
"""Longest that a deploy under way keeps an alert from having fewer replicas, or more of what crashes."""
READY_MS: Final = 30_000
"""How long an instance of which deploy events alone tell has to run to be ready: what a Scale takes by default."""


@dataclass
class Deeds:
    """What one alert of one service has done."""

    state: State
    name: str
    service: Service
    policy: AlertPolicy
    values: Values
    writer: Writer

    def do(self) -> None:
        """Each deed that the policy asks for, in one order."""
        then = self.policy.spec.then
        for deed in (then.scale, then.rollBack, then.build, then.webhook):
            match deed:
                case Step():
                    self._scale(deed)
                case Back():
                    self._roll_back(deed)
                case NewBuild():
                    self._write("build", {}, Build(**self._common(Kind.BUILD), repo=deed.repo, branch=deed.branch))
                case Webhook():
                    self._write("webhook", {}, self._call(deed))

    @property
    def _shadow(self) -> bool:
        return self.policy.spec.mode == "shadow"

    def _common(self, kind: Kind) -> dict[str, Any]:
        now_ms = self.state.now_ms
        return {
            "id": self.writer.next_id(), "service": self.name, "decided_at_ms": now_ms,
            "expires_at_ms": now_ms + EXPIRY_S[kind] * 1000, "reason": Reason.ALERT_ACTS.value,
        }  # fmt: skip

    def _write(self, deed: str, evidence: dict[str, Any], outcome: Action | Reason) -> None:
        words = {"deed": deed} | evidence | {"decision": self.service.alerts[self.policy.metadata.name].decision}
        reason, action = (outcome, None) if isinstance(outcome, Reason) else (Reason.ALERT_ACTS, outcome)
        self.writer.write(self.name, self.policy, reason, words, action=action)

    def _scale(self, step: Step) -> None:
        observed = self.service.observed
        if observed is None:
            self._write("scale", {}, Reason.NO_COUNT)
            return
        current = observed.replicas
        wanted = step.after(current)
        up = wanted > current
        limited = min(step.max, wanted) if up else max(step.min, wanted)
        evidence: dict[str, Any] = {"current": current, "wanted": wanted, "limited": limited}
        if limited <= current if up else limited >= current:
            evidence["limited"] = current
            self._write("scale", evidence, Reason.AT_MAXIMUM if up else Reason.AT_MINIMUM)
            return
        against = self._against(evidence, up=up)
        if against is not None:
            self._write("scale", evidence, against)
            return
        action = Scale(
            **self._common(Kind.SCALE), from_replicas=current, to_replicas=limited, driver=step.driver,
            generation=max(self.service.generation + 1, self.state.now_ms), target=step.target or self.name,
        )  # fmt: skip
        if not self._shadow:
            self.service.generation = action.generation
            self.service.pending = Pending(action.id, up, limited, action.expires_at_ms)
            turned(self.service, up=up, now_ms=self.state.now_ms)
        self._write("scale", evidence, action)

    def _against(self, evidence: dict[str, Any], *, up: bool) -> Reason | None:
        """What forbids a scaling; the evidence says more. Of one the other way only what this fact brought stands."""
        move = Move(self.state, self.name, self.service, up, DEPLOY_HOLD_MS, READY_MS, evidence)
        found = standing(move)
        if found is not None or self._shadow:
            return found
        found, other = pending(move), self.service.pending
        if found is None and other is not None and any(one.id == other.id for one in self.writer.decisions):
            evidence["pending"] = other.id
            return Reason.SCALED_ALREADY
        return found

    def _roll_back(self, back: Back) -> None:
        evidence: dict[str, Any] = {}
        releases = self.service.releases
        environment = back.environment
        if environment is None and len(releases) == 1:
            environment = next(iter(releases))
        if environment is None or environment not in releases:
            evidence["environments"] = list(releases)
            self._write("rollBack", evidence, Reason.NO_ENVIRONMENT)
            return
        how = How(self.writer.next_id(), Reason.ALERT_ACTS, back.driver, back.target)
        action = roll_back(self.state, self.name, environment, how)
        evidence |= {"environment": environment, "version": releases[environment].version}
        if isinstance(action, RollBack) and not self._shadow:
            notify = self.policy.spec.then.notify
            note(self.service, action, self.policy.metadata.name, notify.receiver if notify is not None else "")
        if action is Reason.PAUSED:
            evidence["paused"] = pause_of(self.state, self.name, up=None)
        self._write("rollBack", evidence, action)

    def _call(self, webhook: Webhook) -> CallWebhook:
        spec, values = self.policy.spec, self.values

        def fill(text: str) -> str:
            return filled(text, self.policy, self.name, values)

        data: dict[str, object] = {
            "alert": self.policy.metadata.name,
            "service": self.name,
            "at_ms": self.state.now_ms,
            "value": value_of(values),
            "labels": self.policy.labels_for(self.name),
            "annotations": {key: fill(text) for key, text in spec.annotations.items()},
        }
        data |= {key: fill(one) if isinstance(one, str) else one for key, one in webhook.data.items()}
        return CallWebhook(**self._common(Kind.WEBHOOK), webhook=webhook.webhook, event="alert.firing", data=data)
