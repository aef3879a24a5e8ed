"""What happened in a run: decisions, refusals, outcomes and effects, counted. Pure.

Used by the demo and by the tests that count. Repeats of a decision or an outcome are told apart
by their id; the conservation law is here: every decided action ends, and takes effect once.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Final

from app.policy.decision import Decision
from tasks.contract import Kind, Outcome, Scale, Status, kind_of

SETTLE_MS: Final = 20_000
"""Milliseconds an action may be under way before it counts as missing."""


@dataclass
class Tally:
    """Decisions and outcomes by id, in the order in which they came."""

    decisions: dict[str, Decision] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    repeated_decisions: int = 0
    repeated_outcomes: int = 0

    def copy(self) -> "Tally":
        """The same, which stays as it is while this one grows."""
        return replace(self, decisions=dict(self.decisions), outcomes=dict(self.outcomes))

    def decided(self, decision: Decision) -> bool:
        """Take a decision; whether it is new."""
        new = decision.id not in self.decisions
        self.repeated_decisions += not new
        self.decisions.setdefault(decision.id, decision)
        return new

    def ended(self, outcome: Outcome) -> bool:
        """Take an outcome; whether it is the first of its action."""
        new = outcome.id not in self.outcomes
        self.repeated_outcomes += not new
        self.outcomes.setdefault(outcome.id, outcome)
        return new

    @property
    def actions(self) -> dict[str, Decision]:
        """Decisions that something was to be done for."""
        return {key: one for key, one in self.decisions.items() if one.action is not None and not one.shadow}

    @property
    def refusals(self) -> Counter[str]:
        """Refusals by reason; a change of policies is no refusal, nor is an event that was published."""
        return Counter(
            one.reason.value
            for one in self.decisions.values()
            if one.action is None and one.event is None and one.reason.value != "POLICIES_CHANGED"
        )

    @property
    def scalings(self) -> Counter[str]:
        """How many scalings went `up` and `down`, of those that were done."""
        found: Counter[str] = Counter()
        for key, decision in self.actions.items():
            outcome = self.outcomes.get(key)
            if isinstance(decision.action, Scale) and outcome is not None and outcome.status is Status.DONE:
                found["up" if decision.action.to_replicas > decision.action.from_replicas else "down"] += 1
        return found

    def by_kind(self) -> Counter[tuple[Kind, str]]:
        """(kind, status) of each decided action; `under way` where there is no outcome yet."""
        return Counter(
            (kind_of(one.action), self.outcomes[key].status.value if key in self.outcomes else "under way")
            for key, one in self.actions.items()
            if one.action is not None
        )

    def missing(self, now_ms: int) -> list[str]:
        """Ids of actions that should have ended by now."""
        return [key for key, one in self.actions.items() if key not in self.outcomes and now_ms - one.at_ms > SETTLE_MS]

    def reactions_ms(self, *, ended: bool) -> list[int]:
        """Milliseconds from the newest sample that a scaling was decided from to the task's start, or its end."""
        found = []
        for key, decision in self.actions.items():
            outcome = self.outcomes.get(key)
            sample_at_ms = decision.evidence.get("sample_at_ms")
            if outcome is None or not isinstance(sample_at_ms, int) or not sample_at_ms or outcome.attempts > 1:
                continue
            found.append((outcome.ended_at_ms if ended else outcome.started_at_ms) - sample_at_ms)
        return sorted(found)


def percentile(sorted_values: list[int], share: float) -> int | None:
    """The value that `share` of the values are at or below; None of nothing."""
    if not sorted_values:
        return None
    return sorted_values[min(len(sorted_values) - 1, int(share * len(sorted_values)))]
