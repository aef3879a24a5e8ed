"""What follows from a verdict: the decision, the rollback it asks for or why there is none, and people told.

Called by `app.policy.rollout`, which judges. On trial all of it is written down, and nothing remembered.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from app.policy.attempt import pending_rollback
from app.policy.decision import SENTENCES, Reason
from app.policy.deployed import Undone
from app.policy.guards import pause_of
from app.policy.kinds import Policy
from app.policy.model_rollout import RolloutPolicy
from app.policy.roll_back import How, note, roll_back
from app.policy.state import Service, State
from app.policy.writer import Writer
from tasks.contract import EXPIRY_S, Kind, Notify, RollBack, Status


class Said(NamedTuple):
    """A verdict in words: the reason, a headline, sentences, who is told (empty: nobody), and how loudly."""

    reason: Reason
    headline: str
    body: str = ""
    receiver: str = ""
    severity: str = "info"


@dataclass(frozen=True)
class Case:
    """One policy's business with the deploys of a service in an environment."""

    state: State
    service: str
    environment: str
    policy: RolloutPolicy
    writer: Writer

    def conclude(self, said: Said, evidence: Mapping[str, Any], *, undo: bool = False) -> None:
        """Write a verdict, have the deploy rolled back if asked, and tell people of both."""
        writer, policy = self.writer, self.policy
        back = self._roll_back(said.reason) if undo else None
        decided = writer.next_id()
        if isinstance(back, RollBack):
            writer.write(self.service, policy, said.reason, evidence, action=back)
            if policy.spec.mode == "active":
                note(self._memory, back, policy.metadata.name, policy.spec.onFail.notify)
            if said.receiver:
                told = notification(self.state, self.service, decided, _with(said, back), writer.next_id())
                writer.write(self.service, policy, Reason.TOLD, {"decision": decided}, action=told)
            return
        action = None
        if said.receiver:
            action = notification(self.state, self.service, decided, _with(said, back), decided)
        writer.write(self.service, policy, said.reason, evidence, action=action)
        if back is not None:
            writer.write(self.service, policy, back, self._against(evidence, decided))

    @property
    def _memory(self) -> Service:
        return self.state.services[self.service]

    def _roll_back(self, reason: Reason) -> RollBack | Reason:
        spec = self.policy.spec
        how = How(self.writer.next_id(), reason, spec.driver, spec.target)
        return roll_back(self.state, self.service, self.environment, how)

    def _against(self, evidence: Mapping[str, Any], decided: str) -> dict[str, Any]:
        """The evidence of a rollback that is refused."""
        found: dict[str, Any] = {"deploy": evidence.get("deploy"), "decision": decided}
        if (pause := pause_of(self.state, self.service, up=None)) is not None:
            found["paused"] = pause
        if (undone := pending_rollback(self._memory, self.state.now_ms)) is not None:
            found["pending"] = undone.id
        return found


def tell_undone(state: State, name: str, undone: Undone, policy: Policy | None, writer: Writer) -> None:
    """Say what became of a rollback, once for each thing that becomes of it."""
    if undone.status:
        reason = Reason.ROLLBACK_DONE if undone.status in {Status.DONE, Status.SKIPPED} else Reason.ROLLBACK_FAILED
    elif state.now_ms >= undone.until_ms:
        reason = Reason.ROLLBACK_UNANSWERED
    else:
        return
    if undone.said == f"{reason.value}|{undone.status}":
        return
    undone.said = f"{reason.value}|{undone.status}"
    where = f" in {undone.environment}" if undone.environment else ""
    headline = f"{name}: {_BECAME[undone.status].format(undone.to_version, where)}"
    severity = "info" if reason is Reason.ROLLBACK_DONE else "critical"
    evidence = {
        "decision": undone.id, "status": undone.status, "detail": undone.detail,
        "deploy": {"version": undone.from_version, "environment": undone.environment, "back_to": undone.to_version},
    }  # fmt: skip
    action = None
    if undone.receiver:
        told = Said(reason, headline, undone.detail, undone.receiver, severity)
        action = notification(state, name, undone.id, told, writer.next_id())
    writer.write(name, policy, reason, evidence, action=action)


_BECAME: Final = {
    "": "nothing is known of the rollback to {}{}",
    Status.DONE.value: "{} runs again{}",
    Status.SKIPPED.value: "{} runs already{}",
    Status.FAILED.value: "the rollback to {}{} failed",
    Status.EXPIRED.value: "the rollback to {}{} came too late and was not done",
    Status.CONFLICT.value: "the rollback to {}{} was overtaken by something newer",
    Status.DEAD.value: "the rollback to {}{} could not be done",
}


def notification(state: State, name: str, decided: str, said: Said, action_id: str) -> Notify:
    """What people are told, with the decision where all of it can be read."""
    sentences = [said.body, SENTENCES[said.reason], f"Decision {decided}"]
    return Notify(
        id=action_id, service=name, decided_at_ms=state.now_ms, reason=said.reason.value,
        expires_at_ms=state.now_ms + EXPIRY_S[Kind.NOTIFY] * 1000, receiver=said.receiver, title=said.headline,
        body=". ".join(one.rstrip(".") for one in sentences if one) + ".", severity=said.severity,
    )  # fmt: skip


def _with(said: Said, back: RollBack | Reason | None) -> Said:
    """The words with what becomes of the deploy."""
    if back is None:
        return said
    if isinstance(back, RollBack):
        return said._replace(headline=f"{said.headline}, going back to {back.to_version}")
    return said._replace(headline=f"{said.headline}, not rolled back", body=f"{said.body}. {SENTENCES[back]}")
