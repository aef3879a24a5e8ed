"""Journals outside of Kafka: a file of one JSON object a line, snapshots first, then facts.

`{"partition", "snapshot" (base64), "next_offset"}` and `{"partition", "offset", "timestamp_ms",
"fact"}`. Written by `headrace journal export`, read by replay and explain: such a file is a
complete test case. Nothing here speaks to Kafka; `app.history.recorded` does.
"""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO

import msgspec

from app.policy.facts import Fact, Genesis, Record
from app.policy.state import State, unpack


class HistoryError(Exception):
    """History that cannot be used; the text is one sentence that says where and what to do."""


@dataclass
class Journal:
    """A stretch of the journal: where each partition starts, and its records in order.

    `states` has the snapshots, by partition; a partition without one starts at offset 0. They are
    advanced in place by whoever replays: take `starting` for each use.
    """

    snapshots: dict[int, bytes] = field(default_factory=dict)
    records: Iterable[Record] = ()

    def starting(self) -> dict[int, State]:
        """Fresh states to start from; raises HistoryError if a snapshot is of another version."""
        return {partition: _state(partition, raw) for partition, raw in self.snapshots.items()}


class _Line(msgspec.Struct):
    partition: int
    offset: int = -1
    timestamp_ms: int = 0
    fact: Fact | None = None
    snapshot: str | None = None
    next_offset: int = 0


_decode = msgspec.json.Decoder(_Line).decode
_encode = msgspec.json.Encoder().encode


def line_of(record: Record) -> bytes:
    """The line of a fact, without its end."""
    return _encode(record)


def snapshot_line(partition: int, raw: bytes) -> bytes:
    """The line of a snapshot, without its end."""
    next_offset = _state(partition, raw).next_offset
    return _encode({"partition": partition, "snapshot": b64encode(raw).decode(), "next_offset": next_offset})


def write(journal: Journal, file: IO[bytes]) -> int:
    """Write a journal to a file, snapshots first; how many facts it has."""
    for partition in sorted(journal.snapshots):
        file.write(snapshot_line(partition, journal.snapshots[partition]) + b"\n")
    count = 0
    for record in journal.records:
        file.write(line_of(record) + b"\n")
        count += 1
    return count


def read(lines: Iterable[bytes], name: str) -> Journal:
    """The journal in the lines of a file called `name`; raises HistoryError that names the line that is wrong.

    Empty lines are passed over. All of it is kept in memory.
    """
    journal = Journal()
    records: list[Record] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        found = _parsed(line, f"{name}:{number}")
        if found.snapshot is not None:
            journal.snapshots[found.partition] = _bytes(found.snapshot, f"{name}:{number}")
        elif found.fact is not None and found.offset >= 0:
            records.append(Record(found.partition, found.offset, found.timestamp_ms, found.fact))
        else:
            raise HistoryError(f"{name}:{number} has neither a fact with its offset nor a snapshot")
    journal.records = records
    return journal


def ordered(records: Iterable[Record], states: dict[int, State]) -> Iterator[Record]:
    """The same records, with proof that none is missing: HistoryError at the first hole.

    A record before the snapshot of its partition is left out. `states` say where each starts.
    """
    expected = {partition: state.next_offset for partition, state in states.items()}
    for record in records:
        partition = record.partition
        next_offset = expected.get(partition, 0)
        if record.offset < next_offset:
            continue
        if record.offset > next_offset:
            raise HistoryError(
                f"partition {partition} of the journal goes on at {record.offset}, but {next_offset} was expected: "
                "facts between are missing; start from a later snapshot"
            )
        expected[partition] = next_offset + 1
        yield record


def partitions_of(journal: Journal) -> int:
    """How many partitions the whole journal has, as its snapshots or first records say; HistoryError if none does."""
    for state in journal.starting().values():
        return state.partitions
    for record in journal.records:
        if isinstance(record.fact, Genesis):
            return record.fact.partitions
    raise HistoryError("the journal has neither a snapshot nor its first records; export it from earlier on")


def _parsed(line: bytes, where: str) -> _Line:
    try:
        return _decode(line)
    except msgspec.MsgspecError as error:
        raise HistoryError(f"{where} is no line of a journal: {error}") from error


def _bytes(text: str, where: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except Base64Error as error:
        raise HistoryError(f"{where} has a snapshot that is no base64: {error}") from error


def _state(partition: int, raw: bytes) -> State:
    try:
        return unpack(raw)
    except msgspec.MsgspecError as error:
        raise HistoryError(
            f"the snapshot of partition {partition} is not of this version of Headrace ({error}); "
            "replay it with the version that wrote it, or start from the beginning"
        ) from error
