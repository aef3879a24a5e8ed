"""The recorded history on Kafka: stretches of the journal, decisions, outcomes, policies, states.

Called by the command line. Reads only, joins no group. What is read is handed to the pure parts
of `app.history`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec

from app.history.journal import HistoryError, Journal
from app.history.replay import identity
from app.policy.decision import place_of
from app.policy.facts import Fact, PolicyDocument, Record, decode, partition_of
from app.policy.files import fingerprint
from app.policy.state import State, unpack
from app.settings import Settings
from app.stream import client
from app.stream.topics import CHANGELOG, CONTROL, DECISIONS, JOURNAL, OUTCOMES, SNAPSHOTS
from app.wire.internal import CommandMessage, PolicySetMessage
from tasks.contract import Outcome

GROUP = "auto-scaler"
"""The consumer group whose commits say how far decisions are complete."""

SKEW_MS = 60_000
"""How much earlier than its fact a decision may be stamped: producers' clocks, with room to spare."""


@dataclass
class Stretch:
    """A stretch of the recorded journal, from the snapshots before it.

    `asked` is what was asked for (partition → first and next offset); `journal` begins earlier,
    at the snapshots, so that the states are right when the stretch begins.
    """

    asked: dict[int, tuple[int, int]]
    journal: Journal
    from_ms: int


def stretch(settings: Settings, from_ms: int | None, to_ms: int | None) -> Stretch:
    """The journal between two moments (None: its beginning, its end), from the last snapshots before.

    Raises HistoryError if a partition has lost its beginning and has no snapshot to start from.
    """
    low, high = client.borders(settings, JOURNAL)
    first = low if from_ms is None else client.offsets_at(settings, JOURNAL, from_ms)
    end = high if to_ms is None else client.offsets_at(settings, JOURNAL, to_ms)
    snapshots = _snapshots(settings, low, first) if any(first.values()) else {}
    start = {p: _next_offset(snapshots[p]) if p in snapshots else 0 for p in first}
    for partition, offset in start.items():
        if offset < low[partition] or (offset > first[partition] and from_ms is not None):
            raise HistoryError(
                f"partition {partition} of {JOURNAL} begins at {low[partition]} by now and no snapshot that early "
                "is kept; ask for a later --from, or for none to begin as early as can be"
            )
    asked = {p: (max(first[p], start[p]), max(first[p], start[p], end[p])) for p in first}
    facts = records(settings, start, {p: end for p, (_, end) in asked.items()})
    return Stretch(asked, Journal(snapshots, facts), from_ms or 0)


def decided(settings: Settings, asked: dict[int, tuple[int, int]]) -> dict[int, tuple[int, int]]:
    """The part of a stretch about which all decisions are recorded: up to where the auto-scaler has committed."""
    done = client.committed(settings, GROUP, JOURNAL)
    return {p: (first, max(first, min(end, done.get(p, 0)))) for p, (first, end) in asked.items()}


def decisions_since(settings: Settings, from_ms: int) -> Iterator[bytes]:
    """Recorded decisions, as bytes, that can be about facts since a moment."""
    start = client.offsets_at(settings, DECISIONS, from_ms - SKEW_MS)
    _, end = client.borders(settings, DECISIONS)
    for message in client.read_topic(settings, DECISIONS, start, end):
        yield message.value or b""


def decision(settings: Settings, decision_id: str) -> bytes:
    """A recorded decision by its id; raises HistoryError if it is not there."""
    try:
        _, partition, offset, _ = place_of(decision_id)
    except ValueError as error:
        raise HistoryError(f"{decision_id!r} is no decision id; `headrace decisions` lists them") from error
    low, end = client.borders(settings, DECISIONS)
    if partition not in low:
        raise HistoryError(f"there is no journal partition {partition}, so no decision {decision_id}")
    start = _near(settings, partition, offset, low[partition])
    for message in client.read_topic(settings, DECISIONS, {partition: start}, end):
        if message.value and identity(message.value).id == decision_id:
            return message.value
    raise HistoryError(f"decision {decision_id} is not recorded; `headrace decisions` lists those that are")


def _near(settings: Settings, partition: int, offset: int, lowest: int) -> int:
    """Where on the decisions to begin to look for one about a journal offset."""
    low, high = client.borders(settings, JOURNAL)
    if not low[partition] <= offset < high[partition]:
        return lowest  # decisions are kept longer than the journal
    for fact in client.read_topic(settings, JOURNAL, {partition: offset}, {partition: offset + 1}):
        return client.offsets_at(settings, DECISIONS, fact.timestamp_ms - SKEW_MS)[partition]
    return lowest


def outcomes(settings: Settings, service: str, wanted: Callable[[Outcome], bool]) -> list[Outcome]:
    """Outcomes of a service's actions that are wanted, in their order."""
    low, end = client.borders(settings, OUTCOMES)
    found = []
    for message in client.read_topic(settings, OUTCOMES, low, end):
        if message.key == service.encode() and message.value:
            outcome = msgspec.json.decode(message.value, type=Outcome)
            if wanted(outcome):
                found.append(outcome)
    return found


class PolicyRecord(msgspec.Struct, tag="policy_set", tag_field="kind"):
    """A set of policies as it stands on the control topic, and its fingerprint."""

    fingerprint: str
    policies: list[PolicyDocument]
    author: str
    message: str
    at_ms: int


def policy_sets(settings: Settings) -> list[PolicyRecord]:
    """Every set of policies that was ever handed over, oldest first; what is none is passed over.

    None is judged by the rules of today: it may have been right by those of its time.
    """
    low, end = client.borders(settings, CONTROL)
    found = []
    for message in client.read_topic(settings, CONTROL, low, end):
        try:
            one = msgspec.json.decode(message.value or b"", type=PolicySetMessage)
        except msgspec.MsgspecError:
            continue  # a command, or what nobody could read
        found.append(PolicyRecord(fingerprint(one.policies), one.policies, one.author, one.message, one.at_ms))
    return found


def commands(settings: Settings, from_ms: int, to_ms: int) -> list[CommandMessage]:
    """What people asked for, and did with dead letters, between two moments; what is no command is passed over."""
    found = []
    for message in client.read_topic(settings, CONTROL, client.offsets_at(settings, CONTROL, from_ms), _end(settings)):
        try:
            one = msgspec.json.decode(message.value or b"", type=CommandMessage)
        except msgspec.MsgspecError:
            continue
        if from_ms <= one.at_ms < to_ms:
            found.append(one)
    return found


def _end(settings: Settings) -> dict[int, int]:
    return client.borders(settings, CONTROL)[1]


def remembered(settings: Settings, service: str) -> State:
    """The newest written state of the partition that a service belongs to; HistoryError if there is none yet."""
    partition = partition_of(service, client.partitions_of(settings, JOURNAL))
    for topic in (CHANGELOG, SNAPSHOTS):
        low, end = client.borders(settings, topic)
        newest = None
        for message in client.read_topic(settings, topic, {partition: low[partition]}, end):
            newest = message.value or newest
        if newest is not None:
            return unpack(newest)
    raise HistoryError(f"no state of partition {partition} was written yet; is the auto-scaler running?")


def _snapshots(settings: Settings, low: dict[int, int], first: dict[int, int]) -> dict[int, bytes]:
    """For each partition the last snapshot at or before `first`; the earliest after it where the beginning is gone."""
    begin, end = client.borders(settings, SNAPSHOTS)
    found: dict[int, bytes] = {}
    for message in client.read_topic(settings, SNAPSHOTS, begin, end):
        partition, raw = message.partition, message.value
        if not raw or (next_offset := _next_offset(raw)) < low[partition]:
            continue
        if next_offset <= first[partition] or (low[partition] > 0 and partition not in found):
            found[partition] = raw
    return found


class _Position(msgspec.Struct):
    next_offset: int


_position = msgspec.msgpack.Decoder(_Position).decode


def _next_offset(raw: bytes) -> int:
    """Where a packed state goes on; reads nothing else of it, so that old versions can be passed over."""
    return _position(raw).next_offset


def records(settings: Settings, start: dict[int, int], end: dict[int, int]) -> Iterator[Record]:
    """The journal from `start` to `end` (partition → offset); HistoryError at a fact of another version."""
    for message in client.read_topic(settings, JOURNAL, start, end):
        yield Record(message.partition, message.offset, message.timestamp_ms, _fact(message))


def _fact(message: client.Message) -> Fact:
    try:
        return decode(message.value or b"")
    except msgspec.MsgspecError as error:
        where = f"{message.topic}[{message.partition}] at {message.offset}"
        raise HistoryError(f"{where} is no fact of this version of Headrace: {error}") from error
