"""The targets file: what the names in actions stand for. A name is all that is ever on a topic or a queue.

    [receivers]
    team = "slack://token-a/token-b/token-c"
    pagers = "alertmanager://user:password@alertmanager.example.org:9093"    # alertmanagers:// for https
    oncall = ["mailto://user:password@example.org", "json://hooks.example.org/headrace"]

    [balancers]
    edge = "unix:/run/haproxy/admin.sock"    # or tcp://127.0.0.1:9999

    [dashboards.main]
    url = "https://grafana.example.org"
    token_file = "/run/secrets/grafana"      # a service account's token, or token_env = "NAME"; left out: none

    [books.main]
    url = "postgresql+psycopg://user:password@db/costs"   # left out: SQLite in .headrace/costs.db
    prices = {default = 0.05, small = [{price = 0.02}, {price = 0.03, from = 2027-01-01}]}  # of a replica for an hour

    [webhooks.deploys]
    url = "https://hooks.example.org/headrace"
    secret_file = "/run/secrets/hook"        # `whsec_…`, or secret_env = "NAME"; several words sign all, to replace one
    private = false                          # true: it may be at an address that is not public

    [commands.web]                           # of the driver `command`: no shell; count may be left out
    scale = ["/usr/local/bin/set-replicas", "web", "{replicas}"]
    count = ["/usr/local/bin/count-replicas", "web"]
    limit_s = 30

The clients of this package read their own table. A mistake is told with its place, and never with what
stands there: that may be a password.
"""

import math
import tomllib
from datetime import date
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import msgspec

from tasks.errors import PermanentError, TemporaryError

LONGEST_S: Final = 600.0
"""Longest that a command may take."""


class Dashboard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a dashboard's API is, and the file or the variable of the environment that has its token."""

    url: str
    token_file: str = ""
    token_env: str = ""

    def __post_init__(self) -> None:
        """What is wrong, as a ValueError: msgspec adds the place."""
        parts = _parts(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("`url` is no http://host:port/path")
        if parts.username is not None:  # a log line of a request would have it
            raise ValueError("`url` has a user in it; put a token into `token_file` or `token_env`")
        if self.token_file and self.token_env:
            raise ValueError("there are `token_file` and `token_env`; leave one out")


class PriceFrom(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a replica costs an hour from the midnight (UTC) on which a day begins; without one, ever since."""

    price: float
    begins: date = msgspec.field(default=date(1970, 1, 1), name="from")


class Book(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A database of costs, and the prices of a replica for an hour, by name: a number, or one after another."""

    prices: dict[str, float | list[PriceFrom]]
    url: str = "sqlite:///.headrace/costs.db"

    def __post_init__(self) -> None:
        """What is wrong, as a ValueError: msgspec adds the place."""
        for name, given in self.prices.items():
            steps = self.steps(given)
            if len({one.begins for one in steps}) < max(1, len(steps)):
                raise ValueError(f"price `{name}` has no `price`, or two `from` one day")
            for one in steps:
                if not (math.isfinite(one.price) and one.price >= 0):
                    raise ValueError(f"price `{name}` is {one.price}; it may be 0 or more")

    @staticmethod
    def steps(given: float | list[PriceFrom]) -> list[PriceFrom]:
        """A price as it stands in the file, as one after another."""
        return given if isinstance(given, list) else [PriceFrom(given)]


class Webhook(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a webhook is, the file or the variable that has its secret, and whether it may be private."""

    url: str
    secret_file: str = ""
    secret_env: str = ""
    private: bool = False

    def __post_init__(self) -> None:
        """What is wrong, as a ValueError: msgspec adds the place."""
        parts = _parts(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.fragment:
            raise ValueError("`url` is no http://host:port/path")
        if parts.username is not None:
            raise ValueError("`url` has a user in it; a webhook is known by its signature")
        if bool(self.secret_file) == bool(self.secret_env):
            raise ValueError("there must be either `secret_file` or `secret_env`")


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Program and arguments that scale a service, those that print how many replicas it has, and their time limit."""

    scale: list[str]
    count: list[str] = []
    limit_s: float = 30.0

    def __post_init__(self) -> None:
        """What is wrong, as a ValueError: msgspec adds the place."""
        if not self.scale or not self.scale[0]:
            raise ValueError("`scale` names no program")
        if not 0 < self.limit_s <= LONGEST_S:
            raise ValueError(f"`limit_s` is {self.limit_s:g}; it may be above 0 and up to {LONGEST_S:g}")


_TABLES: Final[dict[str, Any]] = {
    "receivers": str | list[str],
    "balancers": str,
    "dashboards": Dashboard,
    "books": Book,
    "webhooks": Webhook,
    "commands": Command,
}


class Targets:
    """The targets of a file; read when the first is asked for, again and again until it can be read."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._known: dict[str, dict[str, Any]] | None = None

    def receiver(self, name: str) -> list[str]:
        """Addresses of a receiver: Alertmanager's, or apprise's."""
        urls: str | list[str] = self._one("receivers", name)
        return [urls] if isinstance(urls, str) else urls

    def balancer(self, name: str) -> str:
        """Address of a balancer's stats socket: `unix:/path` or `tcp://host:port`."""
        address: str = self._one("balancers", name)
        return address

    def dashboard(self, name: str) -> Dashboard:
        """A dashboard."""
        found: Dashboard = self._one("dashboards", name)
        return found

    def book(self, name: str) -> Book:
        """A book of costs."""
        found: Book = self._one("books", name)
        return found

    def webhook(self, name: str) -> Webhook:
        """A webhook."""
        found: Webhook = self._one("webhooks", name)
        return found

    def command(self, name: str) -> Command:
        """The command that scales a service."""
        found: Command = self._one("commands", name)
        return found

    def names(self, table: str) -> list[str]:
        """The names of a table."""
        return sorted(self._of(table))

    def _of(self, table: str) -> dict[str, Any]:
        if self._known is None:
            self._known = self._read()
        return self._known.get(table, {})

    def _one(self, table: str, name: str) -> Any:
        known = self._of(table)
        if name in known:
            return known[name]
        where = self._file or "HEADRACE_TARGETS_FILE, which is not set"
        there = f"; there are {', '.join(sorted(known))}" if known else ""
        raise PermanentError(f"there is no {table.removesuffix('s')} {name!r} in {where}{there}")

    def _read(self) -> dict[str, dict[str, Any]]:
        if self._file is None:
            return {}
        try:
            raw = tomllib.loads(self._file.read_text(encoding="utf-8"))
            return {table: _table(table, entries) for table, entries in raw.items()}
        except (OSError, ValueError) as error:  # whoever edits the file is given the time to mend it
            raise TemporaryError(f"the targets file {self._file} cannot be read: {error}", delay_s=5.0) from error


def _table(table: str, entries: Any) -> dict[str, Any]:
    if table not in _TABLES:
        raise ValueError(f"there is no table `{table}`; there are {', '.join(_TABLES)}")
    if not isinstance(entries, dict):
        raise ValueError(f"`{table}` is no table of names")  # noqa: TRY004 - a mistake in a file, told as one
    found = {}
    for name, given in entries.items():
        try:
            found[name] = msgspec.convert(given, _TABLES[table])
            if table == "balancers":
                _check_balancer(given)
        except ValueError as error:
            raise ValueError(f"{table}.{name}: {error}") from None
    return found


def _check_balancer(address: str) -> None:
    parts = _parts(address)
    unix = parts.scheme == "unix" and parts.path.startswith("/") and not parts.netloc
    tcp = parts.scheme == "tcp" and parts.hostname and parts.port and not parts.path
    if not (unix or tcp):
        raise ValueError("is no address of a stats socket; write unix:/path or tcp://host:port")


def _parts(address: str) -> SplitResult:
    try:
        parts = urlsplit(address)
        assert parts.port is None or parts.port >= 0  # reading it is what finds a port that is none
    except ValueError:
        raise ValueError("has an address that cannot be read") from None  # Python's words have parts of it
    return parts
