"""Samples of one series over time, as a few buckets: what `avg("cpu", "5m")` is asked of. Pure.

`app.policy.fold` adds samples, by their own times and in any order; `app.policy.aggregates` asks. A
series keeps 18 buckets of the longest window that any policy asks for, so a border of a window is
as exact as an eighteenth of that. Of each bucket it keeps the columns that some policy asks for.
"""

import math
from bisect import insort
from collections.abc import Iterator, Mapping
from functools import lru_cache
from struct import Struct
from typing import Any, Final, NamedTuple
from zlib import crc32

import msgspec

from app.policy.columns import ALL, LAYOUTS, NEWEST, PLACE, VALUES, Bucket, Layout

BUCKETS: Final = 18
"""Buckets of the longest window."""

MOST_VALUES: Final = 64
"""Most values that a bucket keeps for quantiles; of more, those whose checksums are lowest: a fair draw that
does not depend on the order in which they came."""

_packed: Final = Struct("<qd").pack
_place: Final = PLACE.unpack_from
_NONE: Final[Mapping[int, list[tuple[int, float]]]] = {}


class Keep(NamedTuple):
    """What is kept of a metric: columns of the longest window that is asked for; without any, the newest sample."""

    window_ms: int = 0
    columns: int = 0

    def and_also(self, other: "Keep") -> "Keep":
        """What serves both."""
        return Keep(max(self.window_ms, other.window_ms), self.columns | other.columns)

    def window(self) -> "Window | None":
        """An empty window for that, or none."""
        return Window.of(width_for(self.window_ms), self.columns) if self.columns else None


class Window(msgspec.Struct, array_like=True, gc=False):
    """The buckets of a series, each `width_ms` long, in their order, as rows of `app.policy.columns`.

    `kept` are values for quantiles by the places of their buckets, each behind its checksum; None: none are kept.
    """

    width_ms: int
    columns: int = ALL
    rows: bytearray = bytearray()
    kept: dict[int, list[tuple[int, float]]] | None = None

    @classmethod
    def of(cls, width_ms: int, columns: int = ALL) -> "Window":
        """An empty window."""
        return cls(width_ms, columns, kept={} if columns & VALUES else None)

    @property
    def _layout(self) -> Layout:
        return LAYOUTS[self.columns & ~VALUES]

    @property
    def buckets(self) -> list[Bucket]:
        """All buckets."""
        return list(self._layout.buckets(self.rows))

    def keeping(self, columns: int) -> "Window":
        """The same buckets with these columns; what was not kept of them before begins now."""
        made = Window.of(self.width_ms, columns)
        made.rows = bytearray().join(map(LAYOUTS[columns & ~VALUES].row, self.buckets))
        if made.kept is not None and self.kept is not None:
            made.kept = self.kept
        return made

    def add(self, at_ms: int, value: float) -> None:
        """Take a sample; one that is older than every bucket that is kept changes nothing."""
        place, after_ms = divmod(at_ms, self.width_ms)
        rows, layout = self.rows, LAYOUTS[self.columns & ~VALUES]
        size = layout.size
        at = len(rows) - size
        if at >= 0:
            newest: int = _place(rows, at)[0]
            if place < newest - BUCKETS:
                return
            while newest > place:
                at -= size
                if at < 0:
                    break
                newest = _place(rows, at)[0]
        if at >= 0 and newest == place:
            layout.merge(rows, at, after_ms, value)
        else:
            at += size
            rows[at:at] = layout.row(Bucket(place, 1, after_ms, value, value, value, value))
            self._drop(size)
        if self.kept is not None:
            kept = self.kept.setdefault(place, [])
            insort(kept, (crc32(_packed(at_ms, value)), value))
            del kept[MOST_VALUES:]

    def since(self, from_ms: int) -> list[Bucket]:
        """Buckets that reach into the time after a moment."""
        return list(self._layout.buckets(self.rows[self._first(from_ms) :]))

    def read_since(self, column: int, from_ms: int) -> Iterator[tuple[Any, ...]]:
        """One column of those buckets, and nothing if it is not kept: far faster."""
        return self._layout.read(column, self.rows[self._first(from_ms) :])

    def newest_since(self, from_ms: int) -> list[tuple[int, float]]:
        """The newest samples of those buckets, each behind the moment at which it was taken."""
        rows, layout = self.rows[self._first(from_ms) :], self._layout
        pairs = zip(layout.places.iter_unpack(rows), layout.read(NEWEST, rows), strict=False)
        return [
            (place * self.width_ms + after_ms, last) for (place,), (after_ms, last) in pairs if not math.isnan(last)
        ]

    def _first(self, from_ms: int) -> int:
        """Where the rows of those buckets begin."""
        rows, first, size = self.rows, from_ms // self.width_ms, self._layout.size
        end = len(rows)
        if not end:
            return 0
        # places only grow, so of the rows before this one none is late enough
        at: int = end - size * (_place(rows, end - size)[0] - first + 1)
        at = max(at, 0)
        while at < end and _place(rows, at)[0] < first:
            at += size
        return at

    def values_since(self, from_ms: int) -> list[tuple[float, float]]:
        """The values that are kept of the time after a moment, each with how many samples it stands for."""
        kept = _NONE if self.kept is None else self.kept
        return [
            (value, one.samples / len(mine))
            for one in self.since(from_ms)
            if (mine := kept.get(one.place))
            for _, value in mine
        ]

    def _drop(self, size: int) -> None:
        """Forget buckets that are too old."""
        rows = self.rows
        oldest = _place(rows, len(rows) - size)[0] - BUCKETS
        while (place := _place(rows)[0]) < oldest:
            del rows[:size]
            if self.kept is not None:
                self.kept.pop(place, None)


@lru_cache(1024)
def width_for(longest_ms: int) -> int:
    """Length of a bucket for the longest window."""
    return max(1, -(-longest_ms // BUCKETS))
