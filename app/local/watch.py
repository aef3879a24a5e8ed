"""Follows decisions, outcomes and quarantine of a run, with offsets of its own, into a tally.

Used by the demo and by the tests that count. It only reads, and its pace is nobody's business.
"""

import threading
from collections.abc import Callable
from typing import Final, Self

import msgspec

from app.local.tally import Tally
from app.policy import decision as decisions
from app.policy.decision import Decision
from app.settings import Settings
from app.stream import client
from app.stream.topics import DECISIONS, OUTCOMES, QUARANTINE
from app.wire import quarantine
from app.wire.quarantine import Quarantined
from tasks.contract import Kind, Outcome

Event = Decision | Outcome | Quarantined

_TOPICS: Final = (DECISIONS, OUTCOMES, QUARANTINE)


class Watch:
    """Reads from where the topics end when the block begins; `on_event` gets what is new, once."""

    def __init__(self, settings: Settings, on_event: Callable[[Event], None]) -> None:
        """Nothing is read before the block begins."""
        self._tally = Tally()
        self.quarantined: list[Quarantined] = []
        self.failure: Exception | None = None
        self._settings = settings
        self._on_event = on_event
        self._threads: list[threading.Thread] = []
        self._lock = threading.RLock()
        self._early: dict[
            str, Outcome
        ] = {}  # outcomes whose decision has not been read yet: topics have no common order

    @property
    def tally(self) -> Tally:
        """What was read so far, as it is now: it stays as it is while more is read."""
        with self._lock:
            return self._tally.copy()

    def __enter__(self) -> Self:
        for topic in _TOPICS:
            _, ends = client.borders(self._settings, topic)
            thread = threading.Thread(target=self._run, args=(topic, ends), name=f"watch-{topic}", daemon=True)
            self._threads.append(thread)
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """The threads end with the process: they only read."""

    def _run(self, topic: str, start: dict[int, int]) -> None:
        try:
            for message in client.follow(self._settings, topic, start):
                with self._lock:
                    self._take(topic, message.value or b"")
        except Exception as error:  # noqa: BLE001 - the thread has no other way to tell its owner
            self.failure = error

    def _take(self, topic: str, value: bytes) -> None:
        event: Event
        if topic == DECISIONS:
            event = decisions.decode(value)
            new = self._tally.decided(event)
        elif topic == OUTCOMES:
            event = msgspec.json.decode(value, type=Outcome)
            new = self._tally.ended(event)
        else:
            event = quarantine.decode(value)
            self.quarantined.append(event)
            new = True
        if isinstance(event, Outcome) and event.action is not Kind.BUILD and event.id not in self._tally.decisions:
            self._early[event.id] = event
        elif new:
            self._on_event(event)
            if isinstance(event, Decision) and event.id in self._early:
                self._on_event(self._early.pop(event.id))
