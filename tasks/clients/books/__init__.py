"""Books of costs: what services cost from when on, in a database through SQLAlchemy.

One transaction has the record, with the action's id as its key, and the total of its service and
environment: a record is booked once, however often it comes. Money is in millionths, as whole numbers.
A record costs its replicas at its price until the next record of its service, so the totals are the same
in whatever order records arrive. `database` opens and migrates, `booking` writes, `account` reads for people.
"""

from tasks.clients.books.driver import Books

__all__ = ["Books"]
