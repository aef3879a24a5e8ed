"""The targets file: what the names in actions stand for. A name is all that is ever on a topic or a queue.

    [receivers]
    team = "slack://token-a/token-b/token-c"
    oncall = ["mailto://user:password@example.org", "json://hooks.example.org/headrace"]

    [balancers]
    edge = "unix:/run/haproxy/admin.sock"    # or tcp://127.0.0.1:9999

    [dashboards.main]
    url = "https://grafana.example.org"
    token_file = "/run/secrets/grafana"      # a service account's token; left out: none

    [books.main]
    url = "postgresql+psycopg://user:password@db/costs"   # left out: SQLite in .headrace/costs.db
    prices = {default = 0.05, small = 0.02}  # of a replica for an hour

The clients of this package read their own table.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from tasks.errors import PermanentError, TemporaryError


class Dashboard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a dashboard's API is, and the file of its token."""

    url: str
    token_file: str = ""


class Book(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A database of costs, and the prices of a replica for an hour, by name."""

    prices: dict[str, float]
    url: str = "sqlite:///.headrace/costs.db"


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    receivers: dict[str, str | list[str]] = {}
    balancers: dict[str, str] = {}
    dashboards: dict[str, Dashboard] = {}
    books: dict[str, Book] = {}


T = TypeVar("T")


class Targets:
    """The targets of a file; read when the first is asked for, again and again until it can be read."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._known: _File | None = None

    def receiver(self, name: str) -> list[str]:
        """Apprise addresses of a receiver."""
        urls = self._one("receiver", self._all().receivers, name)
        return [urls] if isinstance(urls, str) else urls

    def balancer(self, name: str) -> str:
        """Address of a balancer's stats socket."""
        return self._one("balancer", self._all().balancers, name)

    def dashboard(self, name: str) -> Dashboard:
        """A dashboard."""
        return self._one("dashboard", self._all().dashboards, name)

    def book(self, name: str) -> Book:
        """A book of costs."""
        return self._one("book", self._all().books, name)

    def _one(self, what: str, table: Mapping[str, T], name: str) -> T:
        if name in table:
            return table[name]
        where = self._file or "HEADRACE_TARGETS_FILE, which is not set"
        there = f"; there are {', '.join(sorted(table))}" if table else ""
        raise PermanentError(f"there is no {what} {name!r} in {where}{there}")

    def _all(self) -> _File:
        if self._known is None:
            self._known = self._read()
        return self._known

    def _read(self) -> _File:
        if self._file is None:
            return _File()
        try:
            found: Any = msgspec.toml.decode(self._file.read_bytes(), type=_File)
        except (OSError, ValueError) as error:  # whoever edits the file is given the time to mend it
            raise TemporaryError(f"the targets file {self._file} cannot be read: {error}", delay_s=5.0) from error
        assert isinstance(found, _File)
        return found
