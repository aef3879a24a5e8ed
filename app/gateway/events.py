"""Deploys, changes, pauses and new policies as rows of the incident page. Pure and bounded.

`app.gateway.board` keeps it under its lock. A row is a fact at its place on the journal; what the
auto-scaler published about it is added when it comes.
"""

from typing import Any, Final

from app.gateway.rows import TEXT, Row, Rows
from app.gateway.services import cut
from app.policy.decision import place_of
from app.policy.facts import Change, Command, Deploy, Direction, PolicySet
from tasks.contract import Event

REMEMBERED: Final = 2000
"""Most events of which it is remembered that they were seen."""

Word = Deploy | Change | Command | PolicySet
"""What becomes a row here."""


class Events(Rows):
    """The newest events. One that its sender repeated, or that is on every partition, is one row."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self._seen: dict[str, str] = {}

    def take(self, place: str, fact: Word, number: int) -> None:
        """Add a fact that stands at `<partition>/<offset>` on the journal."""
        if self._seen.setdefault(_identity(place, fact), place) != place:
            return
        if len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]
        self.put(_row(place, fact), number)

    def published(self, decision_id: str, event: Event, number: int) -> None:
        """Add what the stream knew of the deployment; the decision's id is the address of the fact."""
        _, partition, offset, _ = place_of(decision_id)
        more = {
            "decision": decision_id,
            "previous": cut(event.previous_version),
            "replicas": event.replicas,
            "late": event.late,
        }
        self.amend(f"{partition}/{offset}", number, lambda _: more)


def _identity(place: str, fact: Word) -> str:
    """Equal for what is the same event: by its sender's id, or by its place on the control topic."""
    if isinstance(fact, Deploy | Change):
        return f"{fact.service}/{fact.event_id}" if fact.event_id else place
    return f"{fact.source.key}/{fact.source.first}"


def _row(place: str, fact: Word) -> Row:
    cells: dict[str, Any]
    match fact:
        case Deploy():
            cells = {"kind": "deploy", "phase": fact.phase.value, "version": cut(fact.version)}
            cells |= {"commit": cut(fact.commit), "team": cut(fact.team), "pod": cut(fact.pod)}
        case Change():
            cells = {"kind": "change", "phase": cut(fact.type or "changed"), "what": cut(fact.what, TEXT)}
        case Command():
            way = "" if fact.direction is Direction.BOTH else f"{fact.direction.value} only: "
            which = f"{', '.join(fact.ids)}: " if fact.ids else ""
            cells = {"kind": "command", "phase": fact.verb.value, "what": cut(f"{way}{which}{fact.reason}", TEXT)}
        case PolicySet():
            names = ", ".join(one.name for one in fact.policies) or "none"
            words = f"{fact.message}: {names}" if fact.message else names
            cells = {"kind": "policies", "phase": "policies", "what": cut(words, TEXT)}
    if isinstance(fact, Deploy | Change):
        cells |= {"who": cut(fact.who), "environment": cut(fact.environment), "link": cut(fact.link, TEXT)}
    else:
        cells |= {"who": cut(fact.author)}
    service = "*" if isinstance(fact, PolicySet) else cut(fact.service)
    return {"id": place, "at": fact.at_ms, "service": service, **cells}
