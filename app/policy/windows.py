"""Samples of one series over time, as a few buckets: what `avg("cpu", "5m")` is asked of. Pure.

`app.policy.fold` adds samples, by their own times and in any order; `app.policy.aggregates` asks. A
series keeps 18 buckets of the longest window that any policy asks for, so a border of a window is
as exact as an eighteenth of that. Values are kept only where some policy asks for a quantile.
"""

from bisect import insort
from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

import msgspec

BUCKETS: Final = 18
"""Buckets of the longest window."""

VALUES: Final = 64
"""Most values that a bucket keeps for quantiles; of more, those whose checksums are lowest: a fair draw that
does not depend on the order in which they came."""

_packed: Final = Struct("<qd").pack


class Keep(NamedTuple):
    """What is kept of a metric: the longest window that is asked for (0: the newest sample), and whether values are."""

    window_ms: int = 0
    values: bool = False

    def and_also(self, other: "Keep") -> "Keep":
        """What serves both."""
        return Keep(max(self.window_ms, other.window_ms), self.values or other.values)

    def window(self) -> "Window | None":
        """An empty window for that, or none."""
        return Window(width_for(self.window_ms), values=self.values) if self.window_ms else None


class Bucket(msgspec.Struct, array_like=True):
    """Samples of one stretch: `place` is its number since the epoch, the rest what is asked for later.

    `last` is the newest sample, `after_ms` after the stretch began. `kept` are values for quantiles, each
    behind its checksum.
    """

    place: int
    sum: float
    count: int
    least: float
    most: float
    last: float
    after_ms: int
    kept: list[tuple[int, float]] = []


class Window(msgspec.Struct, array_like=True):
    """The buckets of a series, each `width_ms` long, in their order; `values` is whether they keep values."""

    width_ms: int
    buckets: list[Bucket] = []
    values: bool = False

    def add(self, at_ms: int, value: float) -> None:
        """Take a sample; one that is older than every bucket that is kept changes nothing."""
        place = at_ms // self.width_ms
        newest = self.buckets[-1].place if self.buckets else place
        if place < newest - BUCKETS:
            return
        for at in range(len(self.buckets) - 1, -1, -1):
            if self.buckets[at].place == place:
                _add(self.buckets[at], at_ms - place * self.width_ms, value)
                if self.values:
                    _keep(self.buckets[at].kept, at_ms, value)
                return
            if self.buckets[at].place < place:
                self._insert(at + 1, place, at_ms, value)
                return
        self._insert(0, place, at_ms, value)

    def since(self, from_ms: int) -> list[Bucket]:
        """Buckets that reach into the time after a moment."""
        return [one for one in self.buckets if (one.place + 1) * self.width_ms > from_ms]

    def moment(self, bucket: Bucket) -> int:
        """When the newest sample of a bucket was taken."""
        return bucket.place * self.width_ms + bucket.after_ms

    def _insert(self, at: int, place: int, at_ms: int, value: float) -> None:
        made = Bucket(place, value, 1, value, value, value, at_ms - place * self.width_ms)
        if self.values:
            _keep(made.kept, at_ms, value)
        self.buckets.insert(at, made)
        oldest = self.buckets[-1].place - BUCKETS
        while self.buckets[0].place < oldest:
            del self.buckets[0]


def width_for(longest_ms: int) -> int:
    """Length of a bucket for the longest window."""
    return max(1, -(-longest_ms // BUCKETS))


def _add(bucket: Bucket, after_ms: int, value: float) -> None:
    bucket.sum += value
    bucket.count += 1
    bucket.least = min(bucket.least, value)
    bucket.most = max(bucket.most, value)
    if after_ms >= bucket.after_ms:
        bucket.after_ms, bucket.last = after_ms, value


def _keep(kept: list[tuple[int, float]], at_ms: int, value: float) -> None:
    insort(kept, (crc32(_packed(at_ms, value)), value))
    del kept[VALUES:]
