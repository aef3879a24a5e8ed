"""The driver of RecordCost: the books of the targets file, each opened when it is first needed."""

from collections.abc import Callable

from sqlalchemy import Connection, select

from tasks.clients.books.booking import PricesDifferError, add_prices, book
from tasks.clients.books.database import Database
from tasks.clients.books.prices import prices_of
from tasks.clients.books.reckoning import Record
from tasks.clients.books.tables import COSTS
from tasks.clients.targets import Targets
from tasks.contract import RecordCost
from tasks.errors import PermanentError, TemporaryError


class Books:
    """The books of the targets file."""

    def __init__(self, targets: Targets) -> None:
        self._targets = targets
        self._open: dict[str, Database] = {}

    def record(self, action: RecordCost) -> bool:
        """Book a cost; False if it was booked before. The record and the total are one transaction."""
        prices = self._targets.book(action.book).prices
        if action.price not in prices:
            raise PermanentError(
                f"book {action.book!r} has no price {action.price!r}; there are {', '.join(sorted(prices))}"
            )
        record = Record(
            action.id, action.service, action.environment, action.version, action.replicas, action.price, action.at_ms
        )
        return self._asked(action.book, lambda db: book(db, record))

    def recorded(self, action: RecordCost) -> bool:
        """Whether a cost was booked."""
        one = select(COSTS.c.id).where(COSTS.c.id == action.id)
        return self._asked(action.book, lambda db: db.execute(one).first() is not None)

    def _asked(self, name: str, ask: Callable[[Connection], bool]) -> bool:
        """An answer of one transaction."""
        try:
            with self._opened(name).transaction() as db:
                return ask(db)
        except TemporaryError:
            self._open.pop(name, None)  # the tables may have gone with the database: look again
            raise

    def _opened(self, name: str) -> Database:
        """The database, with its tables and the prices of the targets file."""
        if name not in self._open:
            entry = self._targets.book(name)
            database = Database(name, entry.url)
            database.migrate()
            try:
                with database.transaction() as db:
                    add_prices(db, prices_of(entry))
            except PricesDifferError as error:
                raise TemporaryError(
                    f"{error} for book {name!r}: give a new price a `from` of its own, or have `headrace costs init` "
                    "put it right for what is booked too",
                    delay_s=5.0,
                ) from error
            self._open[name] = database
        return self._open[name]
