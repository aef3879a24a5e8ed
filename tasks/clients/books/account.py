"""What a book says, for people: what services cost a day, and what each decision costs.

`headrace costs` calls it. Nothing is changed but by `init`.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import NamedTuple

from sqlalchemy import select

from tasks.clients.books.booking import read_prices, replace_prices
from tasks.clients.books.database import Database
from tasks.clients.books.prices import prices_of
from tasks.clients.books.reckoning import HOUR_MS, Price, Prices, Record, days, in_order
from tasks.clients.books.tables import COSTS, IN_ORDER, RECORD
from tasks.clients.targets import Targets
from tasks.errors import PermanentError
from tasks.settings import settings


class Stretch(NamedTuple):
    """From when until when; what still runs costs until `now_ms`."""

    from_ms: int
    to_ms: int
    now_ms: int


class Lasting(NamedTuple):
    """The part of a stretch that a decision lasts through, and what that costs, in millionths. `runs`: still."""

    record: Record
    from_ms: int
    to_ms: int
    runs: bool
    cost: int


class Day(NamedTuple):
    """What a service costs on a day (UTC), in millionths."""

    day: date
    service: str
    environment: str
    cost: int


class Accounts:
    """The books of a targets file, by name."""

    def __init__(self, targets: Targets | None = None) -> None:
        """Without `targets`, those of the workers' settings."""
        self._targets = targets or Targets(settings().targets_file)

    @property
    def names(self) -> list[str]:
        """The books that there are."""
        return self._targets.names("books")

    def init(self, name: str) -> tuple[bool, list[Price]]:
        """Make a book's tables and give it the targets file's prices; whether tables changed, and what prices did."""
        entry = self._targets.book(name)
        database = Database(name, entry.url)
        made = database.migrate()
        with database.transaction() as db:
            return made, replace_prices(db, prices_of(entry))

    def decided(self, name: str, stretch: Stretch, service: str = "") -> list[Lasting]:
        """What each decision costs in a stretch, the oldest first; of one service, or of all."""
        prices, found = self._read(name, stretch, service)
        priced = [one._replace(cost=prices.amount(one.record, one.from_ms, one.to_ms) // HOUR_MS) for one in found]
        return sorted(priced, key=lambda one: (one.record.at_ms, one.record.id))

    def days(self, name: str, stretch: Stretch, service: str = "") -> list[Day]:
        """What each service costs on each day of a stretch, the oldest first; of one service, or of all."""
        prices, found = self._read(name, stretch, service)
        amounts = Counter[tuple[date, str, str]]()
        for one in found:
            for begin, end in days(one.from_ms, one.to_ms):
                day = datetime.fromtimestamp(begin / 1000, UTC).date()
                amounts[day, one.record.service, one.record.environment] += prices.amount(one.record, begin, end)
        return [Day(*key, amount // HOUR_MS) for key, amount in sorted(amounts.items())]

    def _read(self, name: str, stretch: Stretch, service: str) -> tuple[Prices, list[Lasting]]:
        """The prices, and what lasts into the stretch."""
        database = Database(name, self._targets.book(name).url)
        if not database.there:
            raise PermanentError(f"book {name!r} has not the tables of this version; run `headrace costs init`")
        wanted = select(*RECORD).order_by(*IN_ORDER)
        if service:
            wanted = wanted.where(COSTS.c.service == service)
        with database.transaction() as db:
            return read_prices(db), list(_lasting((Record(*row) for row in db.execute(wanted)), stretch))


def _lasting(records: Iterator[Record], stretch: Stretch) -> Iterator[Lasting]:
    for record, until_ms in in_order(records):
        begin = max(record.at_ms, stretch.from_ms)
        end = min(stretch.now_ms if until_ms is None else until_ms, stretch.to_ms)
        if begin < end:
            yield Lasting(record, begin, end, until_ms is None and end == stretch.now_ms, 0)
