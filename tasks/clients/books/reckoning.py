"""What records cost: replicas times the price of each moment, until the next record. Pure whole numbers.

`booking` keeps the totals with it and `account` tells people: both come to the same millionth.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS


class Record(NamedTuple):
    """What a decision had noted: so many replicas at a price from a moment on."""

    id: str
    service: str
    environment: str
    version: str
    replicas: int
    price: str
    at_ms: int


class Price(NamedTuple):
    """What a replica costs an hour from a moment on, in millionths."""

    name: str
    from_ms: int
    per_hour: int


class UnpricedError(Exception):
    """A record is of a time at which its price was not known; the text says which."""


class Prices:
    """The prices of a book."""

    def __init__(self, rows: Iterable[Price]) -> None:
        self._steps: dict[str, list[tuple[int, int]]] = {}
        for one in sorted(rows):
            self._steps.setdefault(one.name, []).append((one.from_ms, one.per_hour))

    @property
    def names(self) -> list[str]:
        """Names that have a price."""
        return sorted(self._steps)

    def per_hour(self, record: Record) -> int:
        """What a record costs an hour at its beginning, in millionths; UnpricedError if nobody says."""
        return self._from(record, record.at_ms)[0][1] * record.replicas

    def cost(self, record: Record, until_ms: int) -> int:
        """Millionths that a record costs until a moment, rounded down once."""
        return self.amount(record, record.at_ms, until_ms) // HOUR_MS

    def amount(self, record: Record, from_ms: int, to_ms: int) -> int:
        """What a record costs in a stretch that it lasts through, in millionths times milliseconds of an hour."""
        if to_ms <= from_ms:
            return 0
        steps = self._from(record, from_ms)
        ends = [*(start for start, _ in steps[1:]), to_ms]
        total, begin = 0, from_ms
        for (_, per_hour), step_end in zip(steps, ends, strict=True):
            end = min(step_end, to_ms)
            total += per_hour * max(0, end - begin)
            begin = max(begin, end)
        return total * record.replicas

    def _from(self, record: Record, at_ms: int) -> Sequence[tuple[int, int]]:
        """The price that holds at a moment, and those that follow it."""
        steps = self._steps.get(record.price, [])
        place = bisect_right(steps, at_ms, key=lambda step: step[0])
        if place == 0:
            raise UnpricedError(f"price {record.price!r} says nothing of the time of {record.id}")
        return steps[place - 1 :]


def in_order(records: Iterable[Record]) -> Iterator[tuple[Record, int | None]]:
    """Each record with the moment at which the next of its service and environment begins, None for the newest.

    Records come by service, environment, moment and id.
    """
    before: Record | None = None
    for record in records:
        if before is not None:
            same = (before.service, before.environment) == (record.service, record.environment)
            yield before, record.at_ms if same else None
        before = record
    if before is not None:
        yield before, None


def days(from_ms: int, to_ms: int) -> Iterator[tuple[int, int]]:
    """A stretch cut at each midnight (UTC)."""
    while from_ms < to_ms:
        end = min(to_ms, (from_ms // DAY_MS + 1) * DAY_MS)
        yield from_ms, end
        from_ms = end
