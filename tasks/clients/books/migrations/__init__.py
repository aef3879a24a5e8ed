"""How a book's tables came to be, by Alembic; `tasks.clients.books.database` runs it."""
