"""Journals as commands take them: a file, or a stretch of the topic. Used by `journal`, `replay`, `explain`."""

from pathlib import Path

from app.history import recorded
from app.history.journal import Journal, read
from app.settings import settings


def journal_file(file: Path) -> Journal:
    """An exported journal; raises HistoryError or OSError that names the file."""
    with file.open("rb") as lines:
        return read(lines, str(file))


def journal_topic(from_ms: int | None, to_ms: int | None) -> recorded.Stretch:
    """The journal on Kafka between two moments, from the snapshots before."""
    return recorded.stretch(settings(), from_ms, to_ms)


def stretch_of(journal: Journal, from_ms: int | None, to_ms: int | None) -> recorded.Stretch:
    """The same of a file; later records are left out, earlier ones only move the state."""
    records = [record for record in journal.records if to_ms is None or record.timestamp_ms < to_ms]
    asked: dict[int, tuple[int, int]] = {}
    for record in records:
        if from_ms is None or record.timestamp_ms >= from_ms:
            first, _ = asked.get(record.partition, (record.offset, 0))
            asked[record.partition] = (first, record.offset + 1)
    return recorded.Stretch(asked, Journal(journal.snapshots, records), from_ms or 0)
