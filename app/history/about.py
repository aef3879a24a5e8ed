"""What Kafka has recorded about one service: its facts, decisions and outcomes between two moments.

`headrace timeline` asks. Reads only, joins no group, and keeps no more than the ids it has seen.
"""

from collections.abc import Iterator

import msgspec

from app.history.recorded import SKEW_MS, records
from app.policy.decision import Decision, decode
from app.policy.facts import Record, partition_of
from app.settings import Settings
from app.stream import client
from app.stream.topics import DECISIONS, JOURNAL, OUTCOMES
from tasks.contract import Outcome


def facts_of(settings: Settings, service: str, from_ms: int, to_ms: int) -> Iterator[Record]:
    """The journal between two moments, of the one partition that has a service."""
    partition = partition_of(service, client.partitions_of(settings, JOURNAL))
    yield from records(settings, *_between(settings, JOURNAL, from_ms, to_ms, only=partition))


def decisions_of(settings: Settings, service: str, from_ms: int, to_ms: int) -> Iterator[Decision]:
    """Decisions about a service between two moments, each once, in their order."""
    seen: set[str] = set()
    partition = partition_of(service, client.partitions_of(settings, DECISIONS))
    where = _between(settings, DECISIONS, from_ms, to_ms, only=partition)
    for message in client.read_topic(settings, DECISIONS, *where):
        if message.key == service.encode() and message.value:
            found = decode(message.value)
            if found.id not in seen:
                seen.add(found.id)
                yield found


def outcomes_of(settings: Settings, service: str, from_ms: int, to_ms: int) -> Iterator[Outcome]:
    """Outcomes of a service's actions between two moments, the first of each, and again after each redrive.

    From their own topic and not from the journal, since they are kept a year and the journal is not.
    """
    seen: set[tuple[str, int]] = set()
    for message in client.read_topic(settings, OUTCOMES, *_between(settings, OUTCOMES, from_ms, to_ms)):
        if message.key != service.encode():
            continue
        try:
            outcome = msgspec.json.decode(message.value or b"", type=Outcome)
        except msgspec.MsgspecError:
            continue  # not from a worker; the intake has put it into quarantine
        if (outcome.id, outcome.redrive) not in seen:
            seen.add((outcome.id, outcome.redrive))
            yield outcome


def services(settings: Settings) -> set[str]:
    """Services that the newest thousand decisions are about."""
    return {
        (one.key or b"").decode() for one in client.tail(settings, DECISIONS, 1000, lambda one: one.key is not None)
    }


def _between(
    settings: Settings, topic: str, from_ms: int, to_ms: int, *, only: int | None = None
) -> tuple[dict[int, int], dict[int, int]]:
    """Offsets of a topic between two moments, with room for clocks that differ; of all partitions, or one."""
    start = client.offsets_at(settings, topic, from_ms - SKEW_MS)
    end = client.offsets_at(settings, topic, to_ms + SKEW_MS)
    return {p: offset for p, offset in start.items() if only in {None, p}}, end
