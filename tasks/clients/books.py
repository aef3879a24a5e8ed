"""Books of costs: what services cost from when on, in a database through SQLAlchemy.

One transaction has the record, with the action's id as its key, and the total of its service and
environment: a record is booked once, however often it comes. Money is in millionths, as whole
numbers. A record that came late is kept and counted, and changes no money. Each call connects anew:
it is rare, and a server that hangs is then noticed by the time limit of a connection.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

from sqlalchemy import (
    URL,
    BigInteger,
    Column,
    Connection,
    Engine,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError
from sqlalchemy.pool import NullPool

from tasks.clients.targets import Targets
from tasks.contract import RecordCost
from tasks.errors import PermanentError, TemporaryError

MILLION: Final = 1_000_000
HOUR_MS: Final = 3_600_000
WAIT_S: Final = 5
"""Seconds for a connection, and for another's lock."""
MOST: Final = 2**63 - 1
"""Largest number of both databases."""
WRITE: Final = "write sqlite:///path or postgresql://user:password@host/database"

_tables = MetaData()

COSTS: Final = Table(
    "costs", _tables,
    Column("id", String(255), primary_key=True), Column("service", String(255), nullable=False),
    Column("environment", String(255), nullable=False), Column("version", String(255), nullable=False),
    Column("replicas", BigInteger, nullable=False), Column("price", String(255), nullable=False),
    Column("per_hour", BigInteger, nullable=False), Column("at_ms", BigInteger, nullable=False),
)  # fmt: skip
"""One row for each record. `per_hour` is replicas times price, in millionths."""

TOTALS: Final = Table(
    "cost_totals", _tables,
    Column("service", String(255), primary_key=True), Column("environment", String(255), primary_key=True),
    Column("records", BigInteger, nullable=False), Column("per_hour", BigInteger, nullable=False),
    Column("since_ms", BigInteger, nullable=False), Column("spent", BigInteger, nullable=False),
)  # fmt: skip
"""What a service costs an hour since its newest record, and what it had cost until then."""


class Books:
    """The books of the targets file."""

    def __init__(self, targets: Targets) -> None:
        self._targets = targets

    def record(self, action: RecordCost) -> bool:
        """Book a cost; False if it was booked before. The record and the total are one transaction."""
        book = self._targets.book(action.book)
        if action.price not in book.prices:
            raise PermanentError(
                f"book {action.book!r} has no price {action.price!r}; there are {', '.join(sorted(book.prices))}"
            )
        per_hour = round(book.prices[action.price] * MILLION) * action.replicas
        return self._asked(action, lambda db: _book(db, action, per_hour))

    def recorded(self, action: RecordCost) -> bool:
        """Whether a cost was booked."""
        one = select(COSTS.c.id).where(COSTS.c.id == action.id)
        return self._asked(action, lambda db: db.execute(one).first() is not None)

    def _asked(self, action: RecordCost, ask: Callable[[Connection], bool]) -> bool:
        """An answer of one transaction. The database is told of in its driver's words: no password is in them."""
        try:
            with _engine(self._targets.book(action.book).url).begin() as db:
                return ask(db)
        except DataError as error:
            raise PermanentError(f"book {action.book!r} takes no such record: {_words(error)}") from error
        except DBAPIError as error:
            _engine.cache_clear()  # the tables may have gone with the database: look again
            raise TemporaryError(f"book {action.book!r} does not answer as it should: {_words(error)}") from error


def _book(db: Connection, action: RecordCost, per_hour: int) -> bool:
    if per_hour > MOST:
        raise PermanentError(f"{action.replicas} replicas of {action.service} cost more than a book can hold")
    insert = postgresql.insert if db.dialect.name == "postgresql" else sqlite.insert
    mine = {"service": action.service, "environment": action.environment}
    row = mine | {
        "id": action.id, "version": action.version, "replicas": action.replicas, "price": action.price,
        "per_hour": per_hour, "at_ms": action.at_ms,
    }  # fmt: skip
    # not `rowcount`: what it says of a conflict differs between drivers
    if db.execute(insert(COSTS).values(row).on_conflict_do_nothing().returning(COSTS.c.id)).first() is None:
        return False
    first = mine | {"records": 0, "per_hour": 0, "since_ms": action.at_ms, "spent": 0}
    db.execute(insert(TOTALS).values(first).on_conflict_do_nothing())
    key = (TOTALS.c.service == action.service) & (TOTALS.c.environment == action.environment)
    total = db.execute(select(TOTALS).where(key).with_for_update()).one()  # one writer of a total at a time
    changed = {"records": total.records + 1}
    if action.at_ms >= total.since_ms:
        spent = total.spent + total.per_hour * (action.at_ms - total.since_ms) // HOUR_MS
        if spent > MOST:
            raise PermanentError(f"{action.service} would have cost more than a book can hold: is `at_ms` right?")
        changed |= {"per_hour": per_hour, "since_ms": action.at_ms, "spent": spent}
    db.execute(TOTALS.update().where(key).values(changed))
    return True


def _words(error: DBAPIError) -> str:
    return str(error.orig).strip()


@cache
def _engine(address: str) -> Engine:
    """The database of an address, with its tables; made once in each process."""
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        raise PermanentError(f"the address of the book cannot be read; {WRITE}") from None
    kind = url.drivername.partition("+")[0]
    if url.drivername not in {"sqlite", "postgresql", "postgresql+psycopg"}:
        raise PermanentError(f"a book cannot be in {url.drivername}; {WRITE}")
    if kind == "sqlite":
        engine = _sqlite(url)
    else:
        try:
            arguments = {"connect_timeout": WAIT_S, "tcp_user_timeout": WAIT_S * 1000}
            engine = create_engine(url.set(drivername="postgresql+psycopg"), poolclass=NullPool, connect_args=arguments)
        except ModuleNotFoundError:
            raise PermanentError("a book in PostgreSQL needs `pip install 'headrace[postgresql]'`") from None
        event.listen(engine, "begin", lambda db: db.exec_driver_sql(f"SET LOCAL statement_timeout = {WAIT_S * 1000}"))
    with engine.begin() as db:
        if kind == "postgresql":
            db.exec_driver_sql("SELECT pg_advisory_xact_lock(746573)")  # two that make one table at once would clash
        _tables.create_all(db)
    return engine


def _sqlite(url: URL) -> Engine:
    if not url.database or url.database == ":memory:":
        raise PermanentError(f"a book in memory would be gone with its worker; {WRITE}")
    try:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TemporaryError(f"there is no place for the book: {error}", delay_s=5.0) from error
    engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": WAIT_S})
    # one writer at a time from the first statement on: a lock that is taken later could be refused at once
    event.listen(engine, "begin", lambda db: db.exec_driver_sql("BEGIN IMMEDIATE"))
    event.listen(engine, "connect", lambda raw, _: setattr(raw, "isolation_level", None))
    return engine
