"""What people say on a timeline, and what becomes of the actions that were decided: commands and outcomes. Pure.

Called by `app.history.scenario`.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from app.policy.decision import Decision
from app.policy.durations import Seconds
from app.policy.facts import Command, Direction, Source, Verb
from app.policy.model import Strict
from tasks.contract import Kind, Outcome, Scale, Status, kind_of


class Said(Strict):
    """A person's word: scaling is paused, alerts are silenced, or not any more."""

    at_s: Seconds = Field(alias="at", description="When, from the beginning.")
    verb: Annotated[
        Literal[Verb.PAUSE, Verb.RESUME, Verb.SILENCE, Verb.UNSILENCE], Field(description="What is asked for.")
    ]
    service: Annotated[str, Field(description="The service, or `*`; left out: that of the timeline.")] = ""
    alert: Annotated[str, Field(description="Which alerts a silence is for: a name or a glob; empty: all.")] = ""
    direction: Annotated[
        Direction, Field(description="Which scalings a pause is for; one that is of a direction leaves the other be.")
    ] = Direction.BOTH
    for_s: Seconds = Field(0.0, alias="for", description="For how long; 0s: until it is taken back.")
    author: Annotated[str, Field(description="Who says so.")] = "ann"
    reason: Annotated[str, Field(description="Why.")] = "a test"

    def command(self, source: Source, service: str, at_ms: int) -> Command:
        """The same as a fact."""
        until_ms = at_ms + round(self.for_s * 1000) if self.for_s else 0
        return Command(
            source, self.verb, self.service or service, self.author, self.reason, at_ms, until_ms, self.alert,
            self.direction,
        )  # fmt: skip


class Became(Strict):
    """What became of an action: its outcome, as a worker writes it. For `actuator: none`."""

    at_s: Seconds = Field(alias="at", description="When it is known, from the beginning.")
    status: Annotated[Status, Field(description="What became of it.")]
    of: Annotated[Kind, Field(description="Of the newest action of this kind.")] = Kind.SCALE
    set: Annotated[int | None, Field(description="Replicas that were set; left out: those asked for.")] = None

    def outcome(self, decided: Sequence[Decision], at_ms: int) -> Outcome:
        """The same as a worker writes it; raises ValueError if no such action was decided yet."""
        actions = (one.action for one in reversed(decided) if one.action is not None and not one.shadow)
        action = next((one for one in actions if kind_of(one) is self.of), None)
        if action is None:
            raise ValueError(f"no action of kind {self.of} was decided before {self.at_s:g}s, so it has no outcome")
        asked = action.to_replicas if isinstance(action, Scale) else None
        applied = self.status in {Status.DONE, Status.SKIPPED}
        return Outcome(
            id=action.id, action=self.of, service=action.service, status=self.status,
            set=(asked if self.set is None else self.set) if applied else None,
            generation=getattr(action, "generation", 0), ended_at_ms=at_ms,
        )  # fmt: skip
