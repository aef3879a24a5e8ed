"""The tables of a book, as the newest migration leaves them; a test compares the two."""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, MetaData, String, Table

from tasks.clients.books.reckoning import Record

MILLION: Final = 1_000_000
"""Money is in millionths of whatever the prices are in."""
MOST: Final = 2**63 - 1
"""Largest number of both databases."""

TABLES: Final = MetaData()

# compared byte by byte in both databases, so that both have one order of records of one moment
_ID: Final = String(255).with_variant(String(255, collation="C"), "postgresql")

COSTS: Final = Table(
    "costs", TABLES,
    Column("id", _ID, primary_key=True), Column("service", String(255), nullable=False),
    Column("environment", String(255), nullable=False), Column("version", String(255), nullable=False),
    Column("replicas", BigInteger, nullable=False), Column("price", String(255), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Index("costs_in_order", "service", "environment", "at_ms", "id"),
)  # fmt: skip
"""One row for each record; `id` is that of the decision."""
RECORD: Final = tuple(COSTS.c[name] for name in Record._fields)
"""The columns of a record, in its order."""
IN_ORDER: Final = (COSTS.c.service, COSTS.c.environment, COSTS.c.at_ms, COSTS.c.id)
"""How records follow each other."""

TOTALS: Final = Table(
    "cost_totals", TABLES,
    Column("service", String(255), primary_key=True), Column("environment", String(255), primary_key=True),
    Column("records", BigInteger, nullable=False), Column("per_hour", BigInteger, nullable=False),
    Column("since_ms", BigInteger, nullable=False), Column("spent", BigInteger, nullable=False),
)  # fmt: skip
"""What a service cost until its newest record (`spent`), and an hour from then on, at the price of then."""

PRICES: Final = Table(
    "cost_prices", TABLES,
    Column("name", String(255), primary_key=True), Column("from_ms", BigInteger, primary_key=True),
    Column("per_hour", BigInteger, nullable=False),
)  # fmt: skip
"""What a replica costs an hour, by name, from a moment on until the next row of that name."""
