"""Builds that wait for RabbitMQ on this machine's disk: a table of SQLite, synced before anything is promised.

`app.gateway.jobs` is the only caller. What is here has been answered with 202; it is taken out when
RabbitMQ has confirmed it. Several gateways may share one file.
"""

import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from time import time_ns
from typing import TypeVar

import msgspec

from tasks.contract import Build, decode_action, encode

T = TypeVar("T")


class SpoolError(Exception):
    """The spool cannot be read or written; the text is a sentence."""


class Spool:
    """The spool of a file. Each call opens it, so that a disk that was full or away is found again."""

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()

    def put(self, builds: Iterable[Build]) -> None:
        """Keep builds; returns when they are on the disk. One whose id is there already is one."""
        now_ms = time_ns() // 1_000_000
        rows = [(build.id, now_ms, encode(build)) for build in builds]
        self._do(lambda db: db.executemany("INSERT OR IGNORE INTO builds VALUES (?, ?, ?)", rows))

    def oldest(self, most: int) -> list[Build]:
        """The builds that have waited longest."""
        rows = self._do(
            lambda db: db.execute("SELECT action FROM builds ORDER BY at_ms, rowid LIMIT ?", (most,)).fetchall()
        )
        found = []
        for (raw,) in rows:
            try:
                action = decode_action(raw)
            except msgspec.MsgspecError as error:
                raise SpoolError(f"the spool {self._path} holds something that is no build: {error}") from error
            assert isinstance(action, Build)
            found.append(action)
        return found

    def remove(self, builds: Iterable[Build]) -> None:
        """Take builds out: RabbitMQ has them."""
        rows = [(build.id,) for build in builds]
        self._do(lambda db: db.executemany("DELETE FROM builds WHERE id = ?", rows))

    def count(self) -> int:
        """How many wait."""
        found: int = self._do(lambda db: db.execute("SELECT count(*) FROM builds").fetchone()[0])
        return found

    def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """One transaction; raises SpoolError."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            db = sqlite3.connect(self._path, timeout=5.0)
            try:
                db.execute("PRAGMA journal_mode=WAL")
                db.execute("PRAGMA synchronous=FULL")  # a promise outlives a power cut
                with db:
                    db.execute("CREATE TABLE IF NOT EXISTS builds (id TEXT PRIMARY KEY, at_ms INTEGER, action BLOB)")
                    return work(db)
            finally:
                db.close()
        except (OSError, sqlite3.Error) as error:
            raise SpoolError(
                f"the spool {self._path} cannot be used: {error}; is its disk full or read-only?"
            ) from error
