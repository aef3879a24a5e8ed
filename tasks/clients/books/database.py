"""Opens the database of a book and brings its tables to the newest version, by Alembic, under a lock.

Each transaction connects anew: it is rare, and a server that hangs is then noticed by the time limit of a
connection. What is wrong is told in the driver's words, in which no password is.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError
from sqlalchemy.pool import NullPool

from tasks.errors import PermanentError, TemporaryError

WAIT_S: Final = 5
"""Seconds for a connection, and for another's lock."""
WRITE: Final = "write sqlite:///path or postgresql://user:password@host/database"
MIGRATIONS: Final = Path(__file__).parent / "migrations"

_LOCK: Final = "SELECT pg_advisory_xact_lock(746573)"
"""Of whoever makes or changes tables; SQLite has one writer anyway."""


class Database:
    """A book's database by its address. `name` is the book's, for people."""

    def __init__(self, name: str, address: str) -> None:
        """Only look at the address; PermanentError if it is none."""
        self.name = name
        self._engine = _engine(address)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction; raises the errors of `tasks.errors` if the database does not do its part."""
        try:
            with self._engine.begin() as db:
                yield db
        except DataError as error:
            raise PermanentError(f"book {self.name!r} takes no such record: {_words(error)}") from error
        except DBAPIError as error:
            raise TemporaryError(f"book {self.name!r} does not answer as it should: {_words(error)}") from error

    @property
    def there(self) -> bool:
        """Whether the database has the newest tables; it is not made by looking."""
        url = self._engine.url
        if url.drivername == "sqlite" and url.database and not url.query and not Path(url.database).exists():
            return False
        with self.transaction() as db:
            head = ScriptDirectory.from_config(_config()).get_current_head()
            return MigrationContext.configure(db).get_current_revision() == head

    def migrate(self) -> bool:
        """Bring the tables to the newest version, all or nothing; whether there was anything to do."""
        scripts = _config()
        head = ScriptDirectory.from_config(scripts).get_current_head()
        with self.transaction() as db:
            if self._engine.dialect.name == "postgresql":
                db.exec_driver_sql(_LOCK)
            found = MigrationContext.configure(db).get_current_revision()
            if found == head:
                return False
            scripts.attributes["connection"] = db
            try:
                command.upgrade(scripts, "head")
            except CommandError as error:
                raise TemporaryError(
                    f"book {self.name!r} is of version {found}, which this worker does not know: start a newer one",
                    60.0,
                ) from error
        return True


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def _words(error: DBAPIError) -> str:
    return str(error.orig).strip()


def _engine(address: str) -> Engine:
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        raise PermanentError(f"the address of the book cannot be read; {WRITE}") from None
    if url.drivername == "sqlite":
        return _sqlite(url)
    if url.drivername not in {"postgresql", "postgresql+psycopg"}:
        raise PermanentError(f"a book cannot be in {url.drivername}; {WRITE}")
    try:
        arguments = {"connect_timeout": WAIT_S, "tcp_user_timeout": WAIT_S * 1000}
        engine = create_engine(url.set(drivername="postgresql+psycopg"), poolclass=NullPool, connect_args=arguments)
    except ModuleNotFoundError:
        raise PermanentError("a book in PostgreSQL needs `pip install 'headrace[postgresql]'`") from None
    event.listen(engine, "begin", lambda db: db.exec_driver_sql(f"SET LOCAL statement_timeout = {WAIT_S * 1000}"))
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
