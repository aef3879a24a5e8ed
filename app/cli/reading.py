"""What commands take: files of YAML, a journal as a file or as a stretch of the topic. Used by several of them."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from app.cli.errors import Failure
from app.history import recorded
from app.history.journal import Journal, read
from app.settings import settings

STDIN = Path("-")
"""Names standard input where a file is asked for."""


@contextmanager
def opened(file: Path) -> Iterator[tuple[IO[bytes], str]]:
    """A file, or standard input for `-`, with the name that it is told by; raises OSError."""
    if file == STDIN:
        yield sys.stdin.buffer, "stdin"
    else:
        with file.open("rb") as lines:
            yield lines, str(file)


def files_in(path: Path) -> list[Path]:
    """The YAML files of a directory, or the file itself; raises Failure if neither is there."""
    if not path.exists():
        raise Failure(f"{path} does not exist; name a file or a directory of them")
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.suffix in {".yaml", ".yml"})
    return [path]


def journal_file(file: Path) -> Journal:
    """An exported journal, `-` for standard input; raises HistoryError or OSError that names the file."""
    with opened(file) as (lines, name):
        found = read(lines, name)
    if not found.snapshots and not any(True for _ in found.records):
        raise Failure(f"{name} is empty; `headrace journal export FILE` writes a journal")
    return found


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
