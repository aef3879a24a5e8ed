"""The columns of a window's buckets, and where they are in its bytes. Pure.

The buckets of a series are one run of bytes: there are millions of them, and as objects of their own each
would take six times the memory, and the state as much longer to be written and read. A row is the place of its
bucket, and the columns that some policy asks for: most ask for one or two of four.

Called by `app.policy.windows`.
"""

import math
from collections.abc import Iterator, Mapping
from itertools import repeat
from struct import Struct
from typing import Any, Final, NamedTuple

TOTALS: Final = 1
"""How many samples, and their total."""
LEAST: Final = 2
"""The least of them."""
MOST: Final = 4
"""The most of them."""
NEWEST: Final = 8
"""The newest of them, and when it was taken."""
VALUES: Final = 16
"""The samples themselves; not in the row but beside it."""
ALL: Final = TOTALS | LEAST | MOST | NEWEST | VALUES

KEPT_FOR: Final[Mapping[str, int]] = {
    **dict.fromkeys(("avg", "mean", "sum", "count"), TOTALS),
    "min": LEAST, "max": MOST, "rate": NEWEST, "quantile": TOTALS | VALUES,
}  # fmt: skip
"""What has to be kept for each function over a window; for the others it is nothing."""

_FORMS: Final = {TOTALS: "Id", LEAST: "d", MOST: "d", NEWEST: "Id"}
PLACE, TOTAL, VALUE, MOMENT = Struct("<q"), Struct("<Id"), Struct("<d"), Struct("<Id")


class Bucket(NamedTuple):
    """Samples of one stretch: `place` is its number since the epoch, the rest what is asked for later.

    `last` is the newest sample, `after_ms` after the stretch began. A column that is not kept is as that of no sample.
    """

    place: int
    samples: int = 0
    after_ms: int = 0
    total: float = 0.0
    least: float = math.inf
    most: float = -math.inf
    last: float = math.nan


_NOTHING: Final = {TOTALS: (0, 0.0), LEAST: (math.inf,), MOST: (-math.inf,), NEWEST: (0, math.nan)}
"""The columns of no sample."""


class Layout:
    """Rows with some columns: how many bytes one has, and where its columns begin, 0 if one is not kept."""

    __slots__ = ("least", "most", "newest", "places", "readers", "size", "totals")

    def __init__(self, columns: int) -> None:
        begins, size = {}, PLACE.size
        for column, form in _FORMS.items():
            if columns & column:
                begins[column] = size
                size += Struct(f"<{form}").size
        self.size = size
        self.totals, self.least, self.most, self.newest = (begins.get(column, 0) for column in _FORMS)
        self.places = Struct(f"<q{size - PLACE.size}x")
        self.readers = {
            column: Struct(f"<{begin}x{form}{size - begin - Struct(f'<{form}').size}x")
            for column, form in _FORMS.items()
            if (begin := begins.get(column))
        }

    def row(self, one: Bucket) -> bytes:
        """A bucket as a row."""
        found = PLACE.pack(one.place)
        if self.totals:
            found += TOTAL.pack(one.samples, one.total)
        if self.least:
            found += VALUE.pack(one.least)
        if self.most:
            found += VALUE.pack(one.most)
        return found + MOMENT.pack(one.after_ms, one.last) if self.newest else found

    def merge(self, rows: bytearray, at: int, after_ms: int, value: float) -> None:
        """Take a sample into the row that begins there."""
        if self.totals:
            samples, total = TOTAL.unpack_from(rows, at + self.totals)
            TOTAL.pack_into(rows, at + self.totals, samples + 1, total + value)
        if self.least and value < VALUE.unpack_from(rows, at + self.least)[0]:
            VALUE.pack_into(rows, at + self.least, value)
        if self.most and value > VALUE.unpack_from(rows, at + self.most)[0]:
            VALUE.pack_into(rows, at + self.most, value)
        if self.newest and after_ms >= MOMENT.unpack_from(rows, at + self.newest)[0]:
            MOMENT.pack_into(rows, at + self.newest, after_ms, value)

    def read(self, column: int, rows: bytes | bytearray) -> Iterator[tuple[Any, ...]]:
        """One column of rows; of one that is not kept nothing."""
        reader = self.readers.get(column)
        return iter(()) if reader is None else reader.iter_unpack(rows)

    def buckets(self, rows: bytes | bytearray) -> Iterator[Bucket]:
        """Rows as buckets."""
        totals, least, most, newest = (
            self.read(column, rows) if column in self.readers else repeat(none) for column, none in _NOTHING.items()
        )
        for (place,), (samples, total), (low,), (high,), (after_ms, last) in zip(
            self.places.iter_unpack(rows), totals, least, most, newest, strict=False
        ):
            yield Bucket(place, samples, after_ms, total, low, high, last)


LAYOUTS: Final = tuple(map(Layout, range(VALUES)))
"""The layout of each choice of columns."""
