"""Alembic runs this to apply the versions, on the connection and in the transaction that it was given."""

from alembic import context

from tasks.clients.books.tables import TABLES

context.configure(connection=context.config.attributes["connection"], target_metadata=TABLES, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
