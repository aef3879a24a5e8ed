"""Samples of one series over time, as a few buckets: what `avg("cpu", "5m")` is asked of. Pure.

`app.policy.fold` adds samples, by their own times and in any order; `app.policy.aggregates` asks. A
series keeps 18 buckets of the longest window that any policy asks for, so a border of a window is
as exact as an eighteenth of that. Values are kept only where some policy asks for a quantile.

The buckets of a series are one run of bytes: there are millions of them, and as objects of their own each
would take six times the memory, and the state as much longer to be written and read.
"""

from bisect import insort
from collections.abc import Iterator, Mapping
from struct import Struct
from typing import Any, Final, NamedTuple
from zlib import crc32

import msgspec

BUCKETS: Final = 18
"""Buckets of the longest window."""

VALUES: Final = 64
"""Most values that a bucket keeps for quantiles; of more, those whose checksums are lowest: a fair draw that
does not depend on the order in which they came."""

_packed: Final = Struct("<qd").pack
_row: Final = Struct("<qIIdddd")
_place: Final = Struct("<q")
_SIZE: Final = _row.size
TOTALS: Final = Struct("<8xI4xd24x")
"""Of a row: how many samples, and their total."""
LEAST, MOST, LAST = Struct("<24xd16x"), Struct("<32xd8x"), Struct("<40xd")
"""Of a row: the least, the most, the newest."""
_NONE: Final[Mapping[int, list[tuple[int, float]]]] = {}


class Keep(NamedTuple):
    """What is kept of a metric: the longest window that is asked for (0: the newest sample), and whether values are."""

    window_ms: int = 0
    values: bool = False

    def and_also(self, other: "Keep") -> "Keep":
        """What serves both."""
        return Keep(max(self.window_ms, other.window_ms), self.values or other.values)

    def window(self) -> "Window | None":
        """An empty window for that, or none."""
        return Window.of(width_for(self.window_ms), values=self.values) if self.window_ms else None


class Bucket(NamedTuple):
    """Samples of one stretch: `place` is its number since the epoch, the rest what is asked for later.

    `last` is the newest sample, `after_ms` after the stretch began.
    """

    place: int
    samples: int
    after_ms: int
    total: float
    least: float
    most: float
    last: float


class Window(msgspec.Struct, array_like=True, gc=False):
    """The buckets of a series, each `width_ms` long, in their order, as bytes.

    `kept` are values for quantiles by the places of their buckets, each behind its checksum; None: none are kept.
    """

    width_ms: int
    rows: bytearray = bytearray()
    kept: dict[int, list[tuple[int, float]]] | None = None

    @classmethod
    def of(cls, width_ms: int, *, values: bool = False) -> "Window":
        """An empty window; `values` is whether it keeps values."""
        return cls(width_ms, kept={} if values else None)

    @property
    def values(self) -> bool:
        """Whether it keeps values."""
        return self.kept is not None

    @property
    def buckets(self) -> list[Bucket]:
        """All buckets."""
        return list(map(Bucket._make, _row.iter_unpack(self.rows)))

    def add(self, at_ms: int, value: float) -> None:
        """Take a sample; one that is older than every bucket that is kept changes nothing."""
        place, after_ms = divmod(at_ms, self.width_ms)
        rows = self.rows
        at = len(rows) - _SIZE
        if at >= 0:
            newest: int = _place.unpack_from(rows, at)[0]
            if place < newest - BUCKETS:
                return
            while newest > place:
                at -= _SIZE
                if at < 0:
                    break
                newest = _place.unpack_from(rows, at)[0]
        if at >= 0 and newest == place:
            _, count, newest_ms, total, least, most, last = _row.unpack_from(rows, at)
            if after_ms >= newest_ms:
                newest_ms, last = after_ms, value
            least, most = min(least, value), max(most, value)
            _row.pack_into(rows, at, place, count + 1, newest_ms, total + value, least, most, last)
        else:
            at += _SIZE
            rows[at:at] = _row.pack(place, 1, after_ms, value, value, value, value)
            self._drop()
        if self.kept is not None:
            kept = self.kept.setdefault(place, [])
            insort(kept, (crc32(_packed(at_ms, value)), value))
            del kept[VALUES:]

    def since(self, from_ms: int) -> list[Bucket]:
        """Buckets that reach into the time after a moment."""
        return list(map(Bucket._make, _row.iter_unpack(self.rows[self._first(from_ms) :])))

    def read_since(self, columns: Struct, from_ms: int) -> Iterator[tuple[Any, ...]]:
        """Only `TOTALS`, `LEAST`, `MOST` or `LAST` of those buckets: twice as fast."""
        return columns.iter_unpack(self.rows[self._first(from_ms) :])

    def _first(self, from_ms: int) -> int:
        """Where the rows of those buckets begin."""
        rows, first = self.rows, from_ms // self.width_ms
        end = len(rows)
        if not end:
            return 0
        # places only grow, so of the rows before this one none is late enough
        at: int = end - _SIZE * (_place.unpack_from(rows, end - _SIZE)[0] - first + 1)
        at = max(at, 0)
        while at < end and _place.unpack_from(rows, at)[0] < first:
            at += _SIZE
        return at

    def moment(self, bucket: Bucket) -> int:
        """When the newest sample of a bucket was taken."""
        return bucket.place * self.width_ms + bucket.after_ms

    def values_since(self, from_ms: int) -> list[tuple[float, float]]:
        """The values that are kept of the time after a moment, each with how many samples it stands for."""
        kept = _NONE if self.kept is None else self.kept
        return [
            (value, one.samples / len(mine))
            for one in self.since(from_ms)
            if (mine := kept.get(one.place))
            for _, value in mine
        ]

    def _drop(self) -> None:
        """Forget buckets that are too old."""
        rows = self.rows
        oldest = _place.unpack_from(rows, len(rows) - _SIZE)[0] - BUCKETS
        while (place := _place.unpack_from(rows)[0]) < oldest:
            del rows[:_SIZE]
            if self.kept is not None:
                self.kept.pop(place, None)


def width_for(longest_ms: int) -> int:
    """Length of a bucket for the longest window."""
    return max(1, -(-longest_ms // BUCKETS))
