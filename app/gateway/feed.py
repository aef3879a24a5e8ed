"""What the incident page reads: the topics from some minutes ago on, each from a thread, for ever.

The gateway starts and stops it. It joins no group and commits nothing, so nobody waits for it and
its pace is nobody's business. Kafka may be away at the start, go and come back, and topics may be
missing: the board keeps what it knew, and is told since when nothing newer is known and why.
"""

import threading
from collections.abc import Callable
from time import monotonic, time
from typing import Any, Final

import msgspec
import structlog

from app.gateway.board import Board, Standing
from app.policy import decision as decisions
from app.policy import facts
from app.settings import Settings
from app.stream import client
from app.stream.client import KafkaUnavailable, Message
from app.stream.topics import DECISIONS, JOURNAL, OUTCOMES, QUARANTINE
from app.wire import quarantine
from tasks.contract import Outcome

log = structlog.get_logger("headrace.feed")

TOPICS: Final = (JOURNAL, DECISIONS, OUTCOMES, QUARANTINE)

RETRY_S: Final = 1.0
"""Seconds between two tries to read a topic."""

PROBE_S: Final = 2.0
"""Seconds between two looks at whether Kafka answers, and the longest that one takes."""

STOP_S: Final = 3.0
"""Longest wait for the threads at the end."""

SILENT_MS: Final = 10_000
"""Milliseconds without a record after which the stream stands still. It ticks each second; clocks differ by up to 5."""


class Feed:
    """Threads that follow the topics into a board from `start` until `stop`."""

    def __init__(self, settings: Settings, board: Board) -> None:
        """Nothing is read before `start`."""
        self._settings = settings
        self._board = board
        self._end = threading.Event()
        self._threads: list[threading.Thread] = []
        self._behind = set(TOPICS)
        self._missing: set[str] = set()
        self._answered_ms = 0
        self._away = ""

    def start(self) -> None:
        """Begin to read; never fails, whatever is away."""
        if not self._settings.kafka_url:
            sentence = "HEADRACE_KAFKA_URL is set to nothing: builds are taken and shown, and nothing else is known"
            self._board.stand(Standing("no_kafka", 0, sentence))
            return
        jobs: list[tuple[Callable[..., None], tuple[str, ...]]] = [(self._follow, (topic,)) for topic in TOPICS]
        for target, arguments in [*jobs, (self._watch, ())]:
            name = f"feed-{arguments[0] if arguments else 'watch'}"
            thread = threading.Thread(target=target, args=arguments, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """End the threads, or leave those to the end of the process that wait for a Kafka which does not answer."""
        self._end.set()
        deadline = monotonic() + STOP_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - monotonic()))

    def _follow(self, topic: str) -> None:
        """Read a topic for ever; after a break from where it was."""
        position: dict[int, int] = {}
        while not self._end.is_set():
            try:
                if not position:
                    position, ends = self._beginning(topic)
                    self._missing.discard(topic)
                    self._arrived(topic, position, ends)
                for message in client.follow(self._settings, topic, dict(position), self._end.is_set):
                    position[message.partition] = message.offset + 1
                    self._take(topic, message)
                    if topic in self._behind:
                        self._arrived(topic, position, ends)
            except KafkaUnavailable as why:
                log.debug("topic_waits", topic=topic, why=str(why))
            except Exception:  # the page must not stand still for a mistake of ours
                log.exception("topic_failed", topic=topic)
            self._end.wait(RETRY_S)

    def _beginning(self, topic: str) -> tuple[dict[int, int], dict[int, int]]:
        """Where reading begins, and where the topic ends now."""
        window_ms = round(self._settings.board_minutes * 60_000)
        begin = client.offsets_at(self._settings, topic, round(time() * 1000) - window_ms)
        _, ends = client.borders(self._settings, topic)
        return begin, ends

    def _arrived(self, topic: str, position: dict[int, int], ends: dict[int, int]) -> None:
        """Note that a topic has been read to where it ended when reading began."""
        if all(position[p] >= end for p, end in ends.items()):
            self._behind.discard(topic)

    def _take(self, topic: str, message: Message) -> None:
        """One record onto the board; one that cannot be read is counted there."""
        raw = message.value or b""
        try:
            if topic == JOURNAL:
                fact = facts.decode(raw)
                self._board.fact(facts.Record(message.partition, message.offset, message.timestamp_ms, fact))
            else:
                _READERS[topic](self._board, raw)
        except Exception as mistake:  # noqa: BLE001 - one bad record costs itself only
            self._board.unreadable()
            place = f"{topic}[{message.partition}]@{message.offset}"
            log.warning("record_unreadable", place=place, why=f"{type(mistake).__name__}: {mistake}"[:300])

    def _watch(self) -> None:
        """Look every moment whether Kafka answers, and tell the board how things stand."""
        while not self._end.is_set():
            try:
                topics = client.reach(self._settings, PROBE_S)
            except KafkaUnavailable as why:
                self._away = str(why)
            except Exception as mistake:  # a setting that Kafka's client refuses, or a mistake of ours
                self._away = f"Kafka cannot be asked ({mistake}); are the settings HEADRACE_KAFKA_… right?"
                log.exception("probe_failed")
            else:
                self._away, self._answered_ms = "", round(time() * 1000)
                self._missing = {topic for topic in TOPICS if topic not in topics}
            self._board.stand(self._standing(round(time() * 1000)))
            self._end.wait(PROBE_S)

    def _standing(self, now_ms: int) -> Standing:
        newest_ms = self._board.newest_ms
        if self._away:
            return Standing("kafka_away", self._answered_ms or newest_ms, self._away)
        if self._missing:
            words = f"Kafka has no topic {', '.join(sorted(self._missing))}; make them with `headrace topics init`"
            return Standing("no_topics", newest_ms, words)
        if self._behind:
            return Standing("loading", newest_ms, f"reading the last minutes of {', '.join(sorted(self._behind))}")
        if now_ms - newest_ms > SILENT_MS:
            words = "the stream side has written nothing; is `faust -A app worker -l info` running?"
            return Standing("silent", newest_ms, words)
        return Standing("live", 0, "")


_READERS: Final[dict[str, Callable[[Board, bytes], Any]]] = {
    DECISIONS: lambda board, raw: board.decision(decisions.decode(raw)),
    OUTCOMES: lambda board, raw: board.outcome(msgspec.json.decode(raw, type=Outcome)),
    QUARANTINE: lambda board, raw: board.quarantined(quarantine.decode(raw)),
}
