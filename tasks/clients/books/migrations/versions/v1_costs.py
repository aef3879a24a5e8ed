"""Records, totals and prices."""

import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None


def upgrade() -> None:
    """Make the three tables."""
    key = sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")
    op.create_table(
        "costs",
        sa.Column("id", key, primary_key=True),
        sa.Column("service", sa.String(255), nullable=False),
        sa.Column("environment", sa.String(255), nullable=False),
        sa.Column("version", sa.String(255), nullable=False),
        sa.Column("replicas", sa.BigInteger, nullable=False),
        sa.Column("price", sa.String(255), nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
    )
    op.create_index("costs_in_order", "costs", ["service", "environment", "at_ms", "id"])
    op.create_table(
        "cost_totals",
        sa.Column("service", sa.String(255), primary_key=True),
        sa.Column("environment", sa.String(255), primary_key=True),
        sa.Column("records", sa.BigInteger, nullable=False),
        sa.Column("per_hour", sa.BigInteger, nullable=False),
        sa.Column("since_ms", sa.BigInteger, nullable=False),
        sa.Column("spent", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "cost_prices",
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("from_ms", sa.BigInteger, primary_key=True),
        sa.Column("per_hour", sa.BigInteger, nullable=False),
    )
