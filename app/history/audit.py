"""The conservation law, for anybody's own topics: what was decided has ended, once, and took effect once. Pure.

`headrace audit verify` calls it. Decisions and outcomes come as they were read, in any order and with
repeats; what a ledger and a simulated fleet remember is compared where it is given.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from app.policy.decision import Decision
from tasks.contract import Action, Kind, Outcome, Scale, Status, kind_of

GRACE_MS: Final = 60_000
"""Milliseconds after its expiry until which an action may still be on its way to an end."""

EFFECTIVE: Final = frozenset({Status.DONE, Status.SKIPPED})
"""What may follow nothing else: an action that was done stays done."""


@dataclass
class Audit:
    """What was decided between two moments, and what became of it by `now_ms`."""

    from_ms: int
    to_ms: int
    now_ms: int
    actions: dict[str, Action] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    effects: Counter[str] = field(default_factory=Counter)
    repeated_decisions: int = 0
    repeated_outcomes: int = 0
    contradictions: list[str] = field(default_factory=list)

    def decided(self, decision: Decision) -> None:
        """Take a decision; one without an action, on trial, or of another time does not count."""
        action = decision.action
        if action is None or decision.shadow or not self.from_ms <= decision.at_ms < self.to_ms:
            return
        known = self.actions.setdefault(decision.id, action)
        self.repeated_decisions += known is not action
        if known != action:
            self.contradictions.append(f"decision {decision.id} stands on its topic with two actions")

    def ended(self, outcome: Outcome) -> None:
        """Take an outcome; the highest redrive is final, and of one redrive all have to say the same."""
        known = self.outcomes.get(outcome.id)
        if known is None or outcome.redrive > known.redrive:
            if known is not None and known.status in EFFECTIVE:
                self.contradictions.append(f"action {outcome.id} was {known.status} and then sent again")
            self.outcomes[outcome.id] = outcome
        elif outcome.redrive == known.redrive:
            self.repeated_outcomes += 1
            if (outcome.status, outcome.set) != (known.status, known.set):
                self.contradictions.append(f"action {outcome.id} ended as {known.status} and as {outcome.status}")

    def effect(self, action_id: str) -> None:
        """Take an effect that a target remembers."""
        self.effects[action_id] += 1

    def remembered(self, action_id: str, status: str | None) -> None:
        """Take how the ledger says that an action ended (None: it knows no end)."""
        outcome = self.outcomes.get(action_id)
        if outcome is not None and status is not None and status != outcome.status:
            said = f"{status} in the ledger and {outcome.status} on the topic"
            self.contradictions.append(f"action {action_id} is {said}")

    def by_kind(self) -> Counter[tuple[Kind, str]]:
        """(kind, status) of each decided action, `under way` and `missing` where it has no outcome."""
        return Counter((kind_of(action), self._status(key)) for key, action in self.actions.items())

    @property
    def missing(self) -> list[str]:
        """Actions that should have ended by now."""
        return [key for key in self.actions if self._status(key) == "missing"]

    @property
    def doubled(self) -> list[str]:
        """Actions that took effect more than once."""
        return [key for key, count in self.effects.items() if count > 1]

    @property
    def without_effect(self) -> list[str]:
        """Scalings of a simulated fleet that are told as done and that the fleet knows nothing of."""
        return [
            key
            for key in self.simulated()
            if not self.effects[key]
            and (one := self.outcomes.get(key)) is not None
            and one.status is Status.DONE
            and one.found != one.set
        ]

    def simulated(self) -> Iterator[str]:
        """Ids of the scalings whose target can be asked."""
        for key, action in self.actions.items():
            if isinstance(action, Scale) and action.driver == "simulated":
                yield key

    def wrong(self) -> list[str]:
        """What breaks the law, a sentence each."""
        return [
            *(f"action {key} was decided and has no outcome" for key in self.missing),
            *(f"action {key} took effect {self.effects[key]} times" for key in self.doubled),
            *(f"action {key} is told as done and took no effect" for key in self.without_effect),
            *self.contradictions,
        ]

    def _status(self, key: str) -> str:
        outcome = self.outcomes.get(key)
        if outcome is not None:
            return outcome.status.value
        return "missing" if self.now_ms > self.actions[key].expires_at_ms + GRACE_MS else "under way"
