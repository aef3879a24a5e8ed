"""The board of the incident page: what was seen in the last minutes, in memory. Pure, bounded, thread-safe.

`app.gateway.feed` puts in what it reads, the gateway what it accepted; `app.gateway.pages` takes
out. Every change has a number, and `since(n)` gives all that is newer: the first load, each live
update and the catching up after a break are the same question. No server here, and time is the
journal's own: the clock is looked at once, for the first number.
"""

import threading
from time import time_ns
from typing import Any, Final

import msgspec

from app.gateway.actions import Actions
from app.gateway.events import Events
from app.gateway.rows import TEXT, Rows, quarantine_row
from app.gateway.services import Service, cut
from app.policy.decision import SENTENCES, Decision, Reason
from app.policy.facts import Change, Command, Deploy, Direction, Instances, PolicySet, Record, Samples, Verb
from app.wire.quarantine import Quarantined
from tasks.contract import Build, Kind, Outcome

SERVICES: Final = 500
"""Most services on the board."""

MOST: Final = {"decisions": 500, "events": 300, "builds": 300, "quarantine": 100}
"""Most rows of each table: the newest."""

TIDY_MS: Final = 10_000
"""Milliseconds of the journal's time between two tidyings."""


class Standing(msgspec.Struct, frozen=True):
    """How things stand between the page and its sources.

    `state`: `live`, `loading`, `no_kafka`, `kafka_away`, `no_topics` or `silent`. `since_ms` is the
    moment from which on nothing newer is known (0: none), `sentence` says why and what to do.
    """

    state: str
    since_ms: int = 0
    sentence: str = ""


class Board:
    """Everything the page shows. Its numbers begin above `first`: the clock, so that a page notices a restart."""

    def __init__(self, minutes: float, first: int | None = None) -> None:
        """`minutes` of the past are kept, by the newest time on the journal."""
        first = time_ns() // 1000 if first is None else first
        self._window_ms = round(minutes * 60_000)
        self._first = self._number = first
        self._lock = threading.Lock()
        self._newest_ms = 0
        self._tidied_ms = 0
        self._standing = Standing("loading", 0, "reading begins")
        self._services: dict[str, Service] = {}
        self._actions = Actions(MOST["decisions"], MOST["builds"])
        self._events = Events(MOST["events"])
        self._quarantine = Rows(MOST["quarantine"])
        self._rows: dict[str, Rows] = {
            "decisions": self._actions.decisions,
            "events": self._events,
            "builds": self._actions.builds,
            "quarantine": self._quarantine,
        }
        self._left_out = {"services": 0, "samples": 0, "unreadable": 0}

    @property
    def number(self) -> int:
        """The number of the newest change."""
        return self._number

    @property
    def newest_ms(self) -> int:
        """The newest time on the journal; 0 before the first record."""
        return self._newest_ms

    def stand(self, standing: Standing) -> None:
        """Say how things stand."""
        with self._lock:
            if standing != self._standing:
                self._standing = standing
                self._next()

    def unreadable(self) -> None:
        """Count a record on our own topics that could not be decoded."""
        with self._lock:
            self._left_out["unreadable"] += 1
            self._next()

    def fact(self, record: Record) -> None:
        """One record of the journal."""
        with self._lock:
            self._time(record.timestamp_ms)
            match record.fact:
                case Samples() as pack:
                    self._samples(pack, record.timestamp_ms, self._next())
                case Instances() as fact:
                    if (service := self._service(fact.service, record.timestamp_ms)) is not None:
                        service.instances(fact, self._next())
                case Deploy() | Change() | Command() | PolicySet() as word:
                    self._events.take(f"{record.partition}/{record.offset}", word, self._next())
                    self._concerns(word, record.timestamp_ms)
                case _:
                    pass  # outcomes come from their own topic, and time was noted above

    def decision(self, decision: Decision) -> None:
        """One decision or refusal. Events that were published belong to their fact, not to a row of their own."""
        with self._lock:
            number = self._next()
            if decision.service != "*" and (service := self._service(decision.service, decision.at_ms)) is not None:
                service.decided(decision, number)
                service.number = number
            if decision.event is not None:
                self._events.published(decision.id, decision.event, number)
            elif decision.reason is not Reason.POLICIES_CHANGED:
                self._actions.decided(decision, number)

    def outcome(self, outcome: Outcome) -> None:
        """What became of an action; it waits for its decision if it comes before it."""
        with self._lock:
            number = self._next()
            if outcome.action is Kind.SCALE and (service := self._service(outcome.service, outcome.ended_at_ms)):
                service.outcome(outcome, number)
            self._actions.ended(outcome, number)

    def accepted(self, build: Build) -> None:
        """A build that the gateway accepted."""
        with self._lock:
            self._actions.accepted(build, self._next())

    def quarantined(self, record: Quarantined) -> None:
        """One record in quarantine."""
        with self._lock:
            self._quarantine.put(quarantine_row(record), self._next())

    def since(self, number: int) -> dict[str, Any]:
        """Everything newer than a number, as plain values for JSON; `full` if it replaces what was known."""
        with self._lock:
            full = not self._first < number <= self._number
            after = 0 if full else number
            changed = [one for one in self._services.values() if one.number > after]
            found = {
                "n": self._number,
                "full": full,
                "newest": self._newest_ms,
                "window": self._window_ms,
                "standing": msgspec.to_builtins(self._standing),
                "services": [one.since(after, self._number) for one in changed],
                "left_out": self._left_out | {name: table.left_out for name, table in self._rows.items()},
            }
            found |= {name: [dict(row) for row in table.after(after)] for name, table in self._rows.items()}
            return found | ({"sentences": dict(SENTENCES)} if full else {})

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _time(self, at_ms: int) -> None:
        """Move the board's time on; what falls out of its window is dropped now and then."""
        if at_ms // 1000 > self._newest_ms // 1000:
            self._next()
        self._newest_ms = max(self._newest_ms, at_ms)
        if self._newest_ms - self._tidied_ms < TIDY_MS:
            return
        self._tidied_ms = self._newest_ms
        from_ms = self._newest_ms - self._window_ms
        self._services = {name: one for name, one in self._services.items() if one.heard_ms >= from_ms}
        for service in self._services.values():
            service.tidy(self._newest_ms // 1000, from_ms // 1000)
        for table in self._rows.values():
            table.forget(from_ms)

    def _service(self, name: str, at_ms: int) -> Service | None:
        """The service, made if it is new; None if the board is full."""
        name = cut(name)
        found = self._services.get(name)
        if found is None:
            if len(self._services) >= SERVICES:
                self._left_out["services"] += 1
                return None
            found = self._services[name] = Service(name)
            found.number = self._next()
        found.heard_ms = max(found.heard_ms, at_ms)
        return found

    def _samples(self, pack: Samples, at_ms: int, number: int) -> None:
        """A pack into the lines. A sample from the future counts for now, or its clock would stop the line."""
        found: list[Any] = []
        for one in pack.series:
            service = self._service(one.service, at_ms)
            metric = service.metric(cut(one.name)) if service else None
            if service is not None:
                service.number = number
            found.append((metric.add, tuple(sorted(one.labels.items()))) if metric else None)
        for index, sample_ms, value in zip(pack.index, pack.at_ms, pack.value, strict=True):
            if (to := found[index]) is not None:
                to[0](to[1], min(sample_ms, at_ms), value, number)
            else:
                self._left_out["samples"] += 1

    def _concerns(self, word: Deploy | Change | Command | PolicySet, at_ms: int) -> None:
        """What a word changes on its service's card, or on all of them."""
        if isinstance(word, Command):
            if word.verb not in {Verb.PAUSE, Verb.RESUME}:
                return
            way = "" if word.direction is Direction.BOTH else f"{word.direction.value} only, "
            words = f"{way}by {word.author or 'somebody'}: {word.reason}" if word.verb is Verb.PAUSE else ""
            for name, service in self._services.items():
                if word.service in {"*", name}:
                    service.pause(word.direction, cut(words, TEXT), word.until_ms, self._next())
        elif not isinstance(word, PolicySet) and word.service != "*":
            self._service(word.service, at_ms)
