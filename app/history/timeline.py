"""What happened to a service, in the order of time, each thing with its cause: the post-mortem. Pure.

`headrace timeline` reads journal, decisions and outcomes, and hands them over here; nothing is
decided again. Things are placed by their own time; what came late says when it arrived.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from app.history.condense import Condensed, notable
from app.history.explain import what
from app.policy import facts
from app.policy.decision import SENTENCES, Decision, Reason, place_of
from app.policy.facts import Record
from tasks.contract import Outcome

MOST: Final = 5000
"""Most entries of one kind; what is beyond is counted."""
LATE_MS: Final = 10_000
"""Milliseconds after its own time from which something has arrived late."""

_PHASES: Final = {
    facts.Phase.STARTED: "deploy started", facts.Phase.FINISHED: "deployed", facts.Phase.FAILED: "deploy failed",
    facts.Phase.ROLLED_BACK: "rolled back", facts.Phase.POD_STARTED: "instance started",
    facts.Phase.POD_STOPPED: "instance stopped", facts.Phase.REMOVED: "removed",
}  # fmt: skip


class Entry(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One thing that happened. `cause` is the id of another entry, or a place on the journal (partition/offset).

    `kind`: deploy, change, policies, command, replicas, metric, action, refusal or outcome.
    """

    at_ms: int
    kind: str
    text: str
    id: str = ""
    cause: str = ""
    arrived_ms: int = 0
    detail: dict[str, Any] = {}


class Timeline(msgspec.Struct, kw_only=True):
    """The account of a stretch. `metrics` are (time, mean, least, most, instances) a bucket; `replicas` are steps."""

    service: str
    from_ms: int
    to_ms: int
    bucket_ms: int
    entries: list[Entry]
    metrics: dict[str, list[tuple[int, float, float, float, int]]]
    replicas: list[tuple[int, int, int]]
    samples: int
    left_out: dict[str, int]


class Account:
    """Takes what happened, in any order, and makes the account of it."""

    def __init__(self, service: str, from_ms: int, to_ms: int) -> None:
        self._service = service
        self._from_ms = from_ms
        self._to_ms = to_ms
        self._condensed = Condensed(service, from_ms, to_ms)
        self._entries: list[Entry] = []
        self._kept: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()
        self._replicas: list[tuple[int, int, int]] = []
        self._events: dict[str, Entry] = {}
        self.heard = False

    def record(self, record: Record) -> None:
        """Take a record of the journal; those of other services are passed over."""
        fact, place = record.fact, f"{record.partition}/{record.offset}"
        self.heard |= getattr(fact, "service", "") == self._service
        if isinstance(fact, facts.Samples):
            self._condensed.take(fact)
        elif isinstance(fact, facts.Deploy) and fact.service == self._service:
            self._event(_deploy(fact), fact.event_id, record, place)
        elif isinstance(fact, facts.Change) and fact.service in {self._service, "*"}:
            self._event(_change(fact), fact.event_id, record, place)
        elif isinstance(fact, facts.Instances) and fact.service == self._service:
            self._instances(fact)
        elif isinstance(fact, facts.PolicySet):
            names = ", ".join(one.name for one in fact.policies) or "none"
            text = f"{fact.author} put policies in force: {names}{f' ({fact.message})' if fact.message else ''}"
            self._add(Entry(at_ms=fact.at_ms, kind="policies", text=text), record, place)
        elif isinstance(fact, facts.Command) and fact.service in {self._service, "*"}:
            text = f"{fact.author} asked to {fact.verb.value} {fact.service}: {fact.reason}"
            self._add(Entry(at_ms=fact.at_ms, kind="command", text=text), record, place)

    def decision(self, decision: Decision) -> None:
        """Take a decision; that an event was published says nothing that the event itself does not say."""
        mine = decision.service == self._service and self._from_ms <= decision.at_ms < self._to_ms
        self.heard |= mine
        if mine and decision.reason is not Reason.EVENT_SEEN:
            self._keep(_decision(decision))

    def outcome(self, outcome: Outcome) -> None:
        """Take what became of an action."""
        if outcome.service == self._service and self._from_ms <= outcome.ended_at_ms < self._to_ms:
            self.heard = True
            self._keep(_outcome(outcome))

    def made(self) -> Timeline:
        """The account."""
        metrics = self._condensed.metrics()
        for name, buckets in metrics.items():
            for one in notable(buckets):
                spread = f" ({one.least:.4g} to {one.most:.4g})" if one.least != one.most else ""
                text = f"{name} is {one.mean:.4g}{spread}, {len(one.instances)} reporting"
                self._keep(Entry(at_ms=one.at_ms, kind="metric", text=text))
        if self._condensed.left_out:
            self._left_out["metrics"] = len(self._condensed.left_out)
        order = {id(entry): number for number, entry in enumerate(self._entries)}
        self._entries.sort(key=lambda one: (one.at_ms, one.kind != "metric", order[id(one)]))
        return Timeline(
            service=self._service, from_ms=self._from_ms, to_ms=self._to_ms, bucket_ms=self._condensed.bucket_ms,
            entries=self._entries,
            metrics={
                name: [(one.at_ms, one.mean, one.least, one.most, len(one.instances)) for one in buckets]
                for name, buckets in metrics.items()
            },
            replicas=self._replicas, samples=self._condensed.samples, left_out=dict(self._left_out),
        )  # fmt: skip

    def _instances(self, fact: facts.Instances) -> None:
        """Replicas are told when they change; what was before the stretch is where they begin."""
        if fact.at_ms >= self._to_ms:
            return
        last = self._replicas[-1][1:] if self._replicas else None
        if fact.at_ms < self._from_ms:
            self._replicas = [(self._from_ms, fact.wanted, fact.ready)]
            return
        if last == (fact.wanted, fact.ready):
            return
        self._replicas.append((fact.at_ms, fact.wanted, fact.ready))
        if last is None or last[0] != fact.wanted:
            text = f"{fact.wanted} replicas wanted, {fact.ready} ready"
            self._keep(Entry(at_ms=fact.at_ms, kind="replicas", text=text))

    def _event(self, entry: Entry, event_id: str, record: Record, place: str) -> None:
        """Keep an event; one that was sent again is one entry, and says so."""
        first = self._events.setdefault(event_id, entry) if event_id else entry
        if first is entry:
            self._add(entry, record, place)
        else:
            first.detail["sent"] = first.detail.get("sent", 1) + 1

    def _add(self, entry: Entry, record: Record, place: str) -> None:
        """Keep what a fact tells, if it happened or arrived in the stretch."""
        if not any(self._from_ms <= at_ms < self._to_ms for at_ms in (entry.at_ms, record.timestamp_ms)):
            return
        entry.id = place
        if record.timestamp_ms - entry.at_ms > LATE_MS:
            entry.arrived_ms = record.timestamp_ms
        self._keep(entry)

    def _keep(self, entry: Entry) -> None:
        self._kept[entry.kind] += 1
        if self._kept[entry.kind] > MOST:
            self._left_out[entry.kind] += 1
        else:
            self._entries.append(entry)


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


def _deploy(fact: facts.Deploy) -> Entry:
    words = [_PHASES[fact.phase], fact.pod, fact.version, f"in {fact.environment}" if fact.environment else ""]
    detail = {"team": fact.team, "commit": fact.commit, "address": fact.address, "link": fact.link, "who": fact.who}
    who = f" by {fact.who}" if fact.who else ""
    text = " ".join(filter(None, words)) + who
    return Entry(at_ms=fact.at_ms, kind="deploy", text=text, detail={k: v for k, v in detail.items() if v})


def _change(fact: facts.Change) -> Entry:
    everywhere = " (to every service)" if fact.service == "*" else ""
    detail = {"type": fact.type, "who": fact.who, "link": fact.link, "environment": fact.environment}
    text = f"{fact.what}{f' by {fact.who}' if fact.who else ''}{everywhere}"
    return Entry(at_ms=fact.at_ms, kind="change", text=text, detail={k: v for k, v in detail.items() if v})


def _decision(decision: Decision) -> Entry:
    evidence = decision.evidence
    cause = evidence.get("decision") or evidence.get("fact", "")
    if decision.action is None:
        text = f"{decision.reason.value}: {SENTENCES[decision.reason]}"
    else:
        shadow = " (on trial: not done)" if decision.shadow else ""
        text = f"{what(decision.action)}: {SENTENCES[decision.reason]}{shadow}"
    if event := evidence.get("event_decision"):
        _, partition, offset, _ = place_of(str(event))
        cause = f"{partition}/{offset}"
    return Entry(
        at_ms=decision.at_ms, kind="refusal" if decision.action is None else "action", text=text, id=decision.id,
        cause=str(cause), detail={"policy": decision.policy, "reason": decision.reason.value, "evidence": evidence},
    )  # fmt: skip


def _outcome(outcome: Outcome) -> Entry:
    again = f", attempt {outcome.attempts}" if outcome.attempts > 1 else ""
    text = f"{outcome.action.value} {outcome.status.value}{f': {outcome.detail}' if outcome.detail else ''}{again}"
    return Entry(
        at_ms=outcome.ended_at_ms, kind="outcome", text=text, id=f"{outcome.id}/outcome", cause=outcome.id,
        detail={"status": outcome.status.value, "worker": outcome.worker, "attempts": outcome.attempts},
    )  # fmt: skip
