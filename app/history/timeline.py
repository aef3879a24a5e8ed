"""What happened to a service, in the order of time, each thing with its cause: the post-mortem. Pure.

`headrace timeline` reads journal, decisions and outcomes, and hands them over here; nothing is
decided again. Things are placed by their own time; what came late says when it arrived.
"""

from collections.abc import Iterable
from typing import Final

from app.history import entries
from app.history.condense import Condensed, notable
from app.history.entries import Entry, LeftOut, Timeline, line
from app.policy import facts
from app.policy.decision import Decision, Reason
from app.policy.facts import Record
from app.policy.fold import is_new
from app.policy.state import empty
from tasks.contract import Outcome

MOST: Final = 5000
"""Most entries of one kind; what is beyond is counted."""
LATE_MS: Final = 10_000
"""Milliseconds after its own time from which something has arrived late."""


class Account:
    """Takes what happened, the journal first, and makes the account of it."""

    def __init__(self, service: str, from_ms: int, to_ms: int) -> None:
        self._service = service
        self._from_ms = from_ms
        self._to_ms = to_ms
        self._condensed = Condensed(service, from_ms, to_ms)
        self._entries: list[Entry] = []
        self._kept: dict[str, int] = {}
        self._left_out: dict[str, LeftOut] = {}
        self._before: tuple[int, int, int] | None = None
        self._replicas: list[tuple[int, int, int]] = []
        self._events: dict[str, Entry] = {}
        self._marks = empty(0)
        self._journal_ms = to_ms
        self.heard = False

    def record(self, record: Record) -> None:
        """Take a record of the journal; those of other services, and those that came before, are passed over."""
        fact = record.fact
        self._journal_ms = min(self._journal_ms, max(record.timestamp_ms, self._from_ms))
        if isinstance(fact, facts.Samples):
            self._condensed.take(fact)
            return
        if isinstance(fact, facts.Tick | facts.Genesis) or not is_new(self._marks, fact.source):
            return
        self.heard |= getattr(fact, "service", "") == self._service
        if isinstance(fact, facts.Deploy) and fact.service == self._service:
            self._event(entries.of_deploy(fact), fact.event_id, record)
        elif isinstance(fact, facts.Change) and fact.service in {self._service, "*"}:
            self._event(entries.of_change(fact), fact.event_id, record)
        elif isinstance(fact, facts.Instances) and fact.service == self._service:
            self._instances(fact)
        elif isinstance(fact, facts.PolicySet):
            self._add(entries.of_policies(fact), record)
        elif isinstance(fact, facts.Command) and fact.service in {self._service, "*"}:
            self._add(entries.of_command(fact), record)

    def decision(self, decision: Decision) -> None:
        """Take a decision. That an event was published is told only where the journal has lost the event."""
        if decision.service != self._service or not self._from_ms <= decision.at_ms < self._to_ms:
            return
        self.heard = True
        if decision.reason is not Reason.EVENT_SEEN:
            self._keep(entries.of_decision(decision))
        elif decision.event is not None and decision.at_ms < self._journal_ms:
            self._keep(entries.of_event(decision.event, str(decision.evidence.get("fact", ""))))

    def outcome(self, outcome: Outcome) -> None:
        """Take what became of an action."""
        if outcome.service == self._service and self._from_ms <= outcome.ended_at_ms < self._to_ms:
            self.heard = True
            self._keep(entries.of_outcome(outcome))

    def made(self) -> Timeline:
        """The account."""
        self._measured()
        order = {id(entry): number for number, entry in enumerate(self._entries)}
        self._entries.sort(key=lambda one: (one.at_ms, one.kind != "metric", order[id(one)]))
        before = [] if self._before is None else [(self._from_ms, *self._before[1:])]
        return Timeline(
            service=line(self._service), from_ms=self._from_ms, to_ms=self._to_ms, journal_from_ms=self._journal_ms,
            bucket_ms=self._condensed.bucket_ms, samples=self._condensed.samples, entries=self._entries,
            metrics={
                line(name): [(one.at_ms, one.mean, one.least, one.most, len(one.instances)) for one in buckets]
                for name, buckets in self._condensed.metrics().items()
            },
            replicas=before + sorted(self._replicas), left_out=self._left_out,
        )  # fmt: skip

    def _measured(self) -> None:
        """Tell what is worth telling of the metrics: where they moved, and around each action."""
        acted = [one.at_ms for one in self._entries if one.kind == "action"]
        for name, buckets in self._condensed.metrics().items():
            for one in notable(buckets, acted, self._condensed.bucket_ms):
                spread = f" ({one.least:.4g} to {one.most:.4g})" if one.least != one.most else ""
                text = f"{name} is {one.mean:.4g}{spread}, {len(one.instances)} reporting"
                self._keep(Entry(at_ms=one.at_ms, kind="metric", text=text))
        if self._condensed.left_out:
            self._left_out["metrics"] = LeftOut(len(self._condensed.left_out), self._from_ms)

    def _instances(self, fact: facts.Instances) -> None:
        """Replicas are told when they change; the newest from before the stretch is where they begin."""
        if fact.wanted is None:
            return
        step = (fact.at_ms, fact.wanted, fact.ready)
        if fact.at_ms < self._from_ms:
            self._before = max(step, self._before or step)
        last = self._replicas[-1] if self._replicas else self._before
        if not self._from_ms <= fact.at_ms < self._to_ms or (last is not None and last[1:] == step[1:]):
            return
        if self._replicas and self._step_of(self._replicas[-1][0]) == self._step_of(fact.at_ms):
            self._replicas.pop()
        self._replicas.append(step)
        if last is None or last[1] != fact.wanted:
            text = f"{fact.wanted} replicas wanted, {fact.ready} ready"
            self._keep(Entry(at_ms=fact.at_ms, kind="replicas", text=text))

    def _step_of(self, at_ms: int) -> int:
        """Which part of the stretch: of the steps in one, the last is kept, so that there are at most `MOST`."""
        return (at_ms - self._from_ms) * MOST // (self._to_ms - self._from_ms)

    def _event(self, entry: Entry, event_id: str, record: Record) -> None:
        """Keep an event; one that was sent again is one entry, and says so."""
        first = self._events.get(event_id) if event_id else None
        if first is None:
            if self._add(entry, record) and event_id:
                self._events[event_id] = entry
        else:
            first.detail["sent"] = first.detail.get("sent", 1) + 1

    def _add(self, entry: Entry, record: Record) -> bool:
        """Keep what a fact tells, if it happened or arrived in the stretch; whether it was kept."""
        if not any(self._from_ms <= at_ms < self._to_ms for at_ms in (entry.at_ms, record.timestamp_ms)):
            return False
        entry.id = f"{record.partition}/{record.offset}"
        if record.timestamp_ms - entry.at_ms > LATE_MS:
            entry.arrived_ms = record.timestamp_ms
        return self._keep(entry)

    def _keep(self, entry: Entry) -> bool:
        kept = self._kept.get(entry.kind, 0)
        if kept >= MOST:
            self._leave_out(entry.kind, entry.at_ms)
            return False
        self._kept[entry.kind] = kept + 1
        entry.text = line(entry.text)
        self._entries.append(entry)
        return True

    def _leave_out(self, kind: str, at_ms: int) -> None:
        left = self._left_out.setdefault(kind, LeftOut(0, at_ms))
        left.count += 1
        left.from_ms = min(left.from_ms, at_ms)


def account(
    service: str, stretch: tuple[int, int], records: Iterable[Record], decisions: Iterable[Decision],
    outcomes: Iterable[Outcome],
) -> tuple[Timeline, bool]:  # fmt: skip
    """The account of a stretch (from, to), and whether anything was heard of the service in it."""
    made = Account(service, *stretch)
    for record in records:
        made.record(record)
    for decision in decisions:
        made.decision(decision)
    for outcome in outcomes:
        made.outcome(outcome)
    timeline = made.made()
    return timeline, made.heard or timeline.samples > 0
