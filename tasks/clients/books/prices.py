"""The prices of the targets file as rows of a book."""

from datetime import UTC, datetime, time

from tasks.clients.books.reckoning import Price
from tasks.clients.books.tables import MILLION, MOST
from tasks.clients.targets import Book
from tasks.errors import PermanentError


def prices_of(entry: Book) -> list[Price]:
    """What the targets file says, in the order of names and times; a price holds from the midnight (UTC) of its day."""
    found = []
    for name, given in entry.prices.items():
        for one in entry.steps(given):
            from_ms = int(datetime.combine(one.begins, time(), UTC).timestamp() * 1000)
            per_hour = round(one.price * MILLION)
            if per_hour > MOST:
                raise PermanentError(f"price {name!r} is more than a book can hold")
            found.append(Price(name, from_ms, per_hour))
    return sorted(found)
