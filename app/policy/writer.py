"""Decisions of one journal record, numbered as they are written."""

from bisect import bisect_left
from collections.abc import Mapping
from typing import Any

from app.policy.decision import Decision, Reason
from app.policy.facts import Record
from app.policy.kinds import Policy
from app.policy.state import State
from tasks.contract import Action, Event


class Writer:
    """Collects what one record causes. Ids are the record's address and a counter."""

    def __init__(self, state: State, record: Record) -> None:
        self._prefix = f"{state.journal_id}-{record.partition}-{record.offset}"
        self._fact = f"{record.partition}/{record.offset}"
        self._state = state
        self.decisions: list[Decision] = []

    def next_id(self) -> str:
        """The id that the next decision gets."""
        return f"{self._prefix}-{len(self.decisions)}"

    def write(
        self,
        service: str,
        policy: Policy | None,
        reason: Reason,
        evidence: Mapping[str, Any],
        *,
        action: Action | None = None,
    ) -> None:
        """Add a decision, or a refusal where there is no action."""
        name = policy.metadata.name if policy else ""
        self._add(
            service=service,
            policy=name,
            fingerprint=self._fingerprint_of(name),
            reason=reason,
            evidence=evidence,
            action=action,
            shadow=policy is not None and policy.spec.mode == "shadow",
        )

    def _fingerprint_of(self, policy: str) -> str:
        """The fingerprint of a policy in force, else of the set; the set is in the order of the names."""
        policies = self._state.policies
        place = bisect_left(policies, policy, key=lambda one: one.name)
        there = place < len(policies) and policies[place].name == policy
        return policies[place].fingerprint if there else self._state.fingerprint

    def publish(self, event: Event, evidence: Mapping[str, Any]) -> None:
        """Add an event that is published for whoever listens; no policy is needed for that."""
        self._add(
            service=event.service, policy="", fingerprint=self._state.fingerprint, reason=Reason.EVENT_SEEN,
            evidence=evidence, event=event,
        )  # fmt: skip

    def _add(self, *, evidence: Mapping[str, Any], **parts: Any) -> None:
        made = Decision(
            id=self.next_id(), at_ms=self._state.now_ms, evidence={**evidence, "fact": self._fact}, **parts
        )  # fmt: skip
        self.decisions.append(made)
