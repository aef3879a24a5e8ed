"""Writes a book: a record and its total in one transaction, and the prices. Its callers begin and end it.

A record changes what the one before it costs, which lasts until it and no further. One that comes late
goes to its place between two others, so the totals are always the sum of what the records cost.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, and_, delete, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from tasks.clients.books.reckoning import Price, Prices, Record, UnpricedError, in_order
from tasks.clients.books.tables import COSTS, IN_ORDER, MOST, PRICES, RECORD, TOTALS
from tasks.errors import PermanentError


class PricesDifferError(Exception):
    """The book has a price that the targets file contradicts; the text says which."""


def book(db: Connection, record: Record) -> bool:
    """Book a record with its total; False if it was booked before. PermanentError if no book can hold it."""
    # not `rowcount`: what it says of a conflict differs between drivers
    made = insert(db, COSTS).values(record._asdict()).on_conflict_do_nothing().returning(COSTS.c.id)
    if db.execute(made).first() is None:
        return False
    first = {"service": record.service, "environment": record.environment}
    empty = first | {"records": 0, "per_hour": 0, "since_ms": record.at_ms, "spent": 0}
    db.execute(insert(db, TOTALS).values(empty).on_conflict_do_nothing())
    key = and_(TOTALS.c.service == record.service, TOTALS.c.environment == record.environment)
    total = db.execute(select(TOTALS).where(key).with_for_update()).one()  # one writer of a total at a time
    prices = read_prices(db)
    before, after = _neighbour(db, record, newer=False), _neighbour(db, record, newer=True)
    try:
        spent = total.spent + _change(prices, record, before, after)
        changed = {"records": total.records + 1, "spent": _held(record, spent)}
        if after is None:
            changed |= {"per_hour": _held(record, prices.per_hour(record)), "since_ms": record.at_ms}
        else:
            _held(record, prices.per_hour(record))
    except UnpricedError as error:
        raise PermanentError(f"{error}; there are {', '.join(prices.names)}") from error
    db.execute(TOTALS.update().where(key).values(changed))
    return True


def add_prices(db: Connection, wanted: Sequence[Price]) -> bool:
    """Add prices that the book does not have yet; whether there were any. PricesDifferError if it has others."""
    known = {one[:2]: one.per_hour for one in _rows(db)}
    for one in wanted:
        if known.get(one[:2], one.per_hour) != one.per_hour:
            raise PricesDifferError(f"price {one.name!r} is another one in the book than in the targets file")
    new = [one for one in wanted if one[:2] not in known]
    if new:
        db.execute(insert(db, PRICES).on_conflict_do_nothing(), [one._asdict() for one in new])
        _reckon(db)
    return bool(new)


def replace_prices(db: Connection, wanted: Sequence[Price]) -> list[Price]:
    """Have the prices of these names be these and no others, for what is booked too; those that changed."""
    names = {one.name for one in wanted}
    known = {one for one in _rows(db) if one.name in names}
    changed = sorted(set(wanted) ^ known)
    if changed:
        db.execute(delete(PRICES).where(PRICES.c.name.in_(names)))
        db.execute(PRICES.insert(), [one._asdict() for one in wanted])
        _reckon(db)
    return [one for one in wanted if one not in known]


def read_prices(db: Connection) -> Prices:
    """The prices of a book."""
    return Prices(_rows(db))


def insert(db: Connection, table: Any) -> Any:
    """An insert that can be told what to do about a conflict, which each database has in its own words."""
    return (postgresql.insert if db.dialect.name == "postgresql" else sqlite.insert)(table)


def _rows(db: Connection) -> list[Price]:
    return [Price(*row) for row in db.execute(select(PRICES.c.name, PRICES.c.from_ms, PRICES.c.per_hour))]


def _neighbour(db: Connection, record: Record, *, newer: bool) -> Record | None:
    """The record before or after this one, of the same service and environment."""
    at, key = COSTS.c.at_ms, COSTS.c.id
    if newer:
        beyond = or_(at > record.at_ms, and_(at == record.at_ms, key > record.id))
        order = [at.asc(), key.asc()]
    else:
        beyond = or_(at < record.at_ms, and_(at == record.at_ms, key < record.id))
        order = [at.desc(), key.desc()]
    same = and_(COSTS.c.service == record.service, COSTS.c.environment == record.environment)
    found = db.execute(select(*RECORD).where(same, beyond).order_by(*order).limit(1)).first()
    return None if found is None else Record(*found)


def _change(prices: Prices, record: Record, before: Record | None, after: Record | None) -> int:
    """What the total changes by; the newest record costs nothing yet."""
    change = 0
    if before is not None:
        change += prices.cost(before, record.at_ms)
        change -= 0 if after is None else prices.cost(before, after.at_ms)
    return change + (0 if after is None else prices.cost(record, after.at_ms))


def _reckon(db: Connection) -> None:
    """Compute all totals anew, since prices hold for what is booked too."""
    if db.dialect.name == "postgresql":
        db.exec_driver_sql("LOCK TABLE cost_totals IN EXCLUSIVE MODE")  # who books waits, and reads the new prices
    prices, spent = read_prices(db), 0
    rows = (Record(*row) for row in db.execute(select(*RECORD).order_by(*IN_ORDER)))
    for record, until_ms in in_order(rows):
        try:
            if until_ms is not None:
                spent += prices.cost(record, until_ms)
                continue
            per_hour = prices.per_hour(record)
        except UnpricedError as error:
            raise PermanentError(f"{error}, which is booked") from error
        key = and_(TOTALS.c.service == record.service, TOTALS.c.environment == record.environment)
        changed = {"spent": _held(record, spent), "per_hour": _held(record, per_hour)}
        db.execute(TOTALS.update().where(key).values(changed))
        spent = 0


def _held(record: Record, number: int) -> int:
    if number > MOST:
        raise PermanentError(
            f"{record.replicas} replicas of {record.service} at price {record.price!r} cost more than a book can hold"
        )
    return number
