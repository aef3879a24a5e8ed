"""Decisions and builds beside what came of them. Pure and bounded.

`app.gateway.board` keeps it under its lock. Topics have no common order, so an outcome may come
before its decision and waits for it here.
"""

from typing import Final

from app.gateway.rows import Row, Rows, build_row, decision_row, foreign_build_row, outcome_cell
from app.policy.decision import Decision
from tasks.contract import Build, Kind, Outcome

EARLY: Final = 1000
"""Most outcomes that wait for their decision."""


class Actions:
    """The tables `decisions` and `builds`, and the outcomes that belong to their rows."""

    def __init__(self, decisions: int, builds: int) -> None:
        """At most so many rows of each."""
        self.decisions = Rows(decisions)
        self.builds = Rows(builds)
        self._early: dict[str, Outcome] = {}

    def decided(self, decision: Decision, number: int) -> None:
        """Add a decision or a refusal."""
        self.decisions.put(decision_row(decision), number)
        if isinstance(decision.action, Build):
            self.builds.put(build_row(decision.action), number)
        self._catch_up(decision.id, number)

    def accepted(self, build: Build, number: int) -> None:
        """Add a build that the gateway accepted."""
        self.builds.put(build_row(build), number)
        self._catch_up(build.id, number)

    def ended(self, outcome: Outcome, number: int) -> None:
        """Put an outcome beside what asked for it; a build that somebody else put on the queue has none."""
        if self._join(outcome, number):
            return
        if outcome.action is Kind.BUILD:
            self.builds.put(foreign_build_row(outcome), number)
            self._join(outcome, number)
            return
        self._early[outcome.id] = outcome
        while len(self._early) > EARLY:
            del self._early[next(iter(self._early))]

    def _catch_up(self, action_id: str, number: int) -> None:
        early = self._early.pop(action_id, None)
        if early is not None:
            self._join(early, number)

    def _join(self, outcome: Outcome, number: int) -> bool:
        """Whether there is a row for an outcome; it has it now. Of redrives the highest counts."""

        def newer(row: Row) -> Row:
            before = row["outcome"]
            keep = before is not None and before["redrive"] > outcome.redrive
            return {"outcome": before if keep else outcome_cell(outcome)}

        joined = [table.amend(outcome.id, number, newer) for table in (self.decisions, self.builds)]
        return any(joined)
