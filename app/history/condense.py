"""Metrics made small: a stretch of samples as a few buckets for each metric, and the moments worth telling.

`app.history.timeline` calls it. Samples are taken one pack after another and none is kept.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from app.policy.facts import Samples

BUCKETS: Final = 60
"""Most buckets of a stretch; none is shorter than a second."""
METRICS: Final = 20
"""Most metrics of one service; more are counted."""
NOTABLE: Final = 0.25
"""Share by which a metric has to have moved since it was last told, to be told again."""


class Bucket(msgspec.Struct):
    """Samples of one metric in one bucket, over all instances that reported in it."""

    at_ms: int
    sum: float = 0.0
    count: int = 0
    least: float = float("inf")
    most: float = float("-inf")
    instances: set[int] = msgspec.field(default_factory=set)

    @property
    def mean(self) -> float:
        """Mean of the samples."""
        return self.sum / self.count


class Condensed:
    """The metrics of one service between two moments, in milliseconds since the epoch."""

    def __init__(self, service: str, from_ms: int, to_ms: int) -> None:
        self._service = service
        self._from_ms = from_ms
        self._to_ms = to_ms
        self.bucket_ms = max(1000, -(-(to_ms - from_ms) // BUCKETS))
        self.samples = 0
        self.left_out: set[str] = set()
        self._buckets: dict[str, dict[int, Bucket]] = {}
        self._marks: dict[str, tuple[int, int]] = {}

    def take(self, pack: Samples) -> None:
        """Take the samples of a pack that are new, of the service and of the stretch, by their own times."""
        start = self._first_new(pack)
        mine = {
            number: (one.name, hash(tuple(sorted(one.labels.items()))))
            for number, one in enumerate(pack.series)
            if one.service == self._service
        }
        if not mine or start == len(pack.index):
            return
        columns = zip(pack.index[start:], pack.at_ms[start:], pack.value[start:], strict=True)
        for number, at_ms, value in columns:
            if number not in mine or not self._from_ms <= at_ms < self._to_ms:
                continue
            name, instance = mine[number]
            buckets = self._of(name)
            if buckets is not None:
                self._add(buckets, at_ms, value, instance)

    def _add(self, buckets: dict[int, Bucket], at_ms: int, value: float, instance: int) -> None:
        place = (at_ms - self._from_ms) // self.bucket_ms
        bucket = buckets.get(place)
        if bucket is None:
            bucket = buckets[place] = Bucket(self._from_ms + place * self.bucket_ms)
        bucket.sum += value
        bucket.count += 1
        bucket.least = min(bucket.least, value)
        bucket.most = max(bucket.most, value)
        bucket.instances.add(instance)
        self.samples += 1

    def _first_new(self, pack: Samples) -> int:
        """Index of the first sample that no earlier pack had: after a crash of the intake some come again."""
        first, mark = pack.source.first, self._marks.get(pack.source.key, (-1, -1))
        start, end = 0, len(pack.offset)
        while start < end and (first + pack.offset[start], pack.item[start]) <= mark:
            start += 1
        if start < end:
            self._marks[pack.source.key] = (first + pack.offset[-1], pack.item[-1])
        return start

    def _of(self, name: str) -> dict[int, Bucket] | None:
        found = self._buckets.get(name)
        if found is None:
            if len(self._buckets) >= METRICS:
                self.left_out.add(name)
                return None
            found = self._buckets[name] = {}
        return found

    def metrics(self) -> dict[str, list[Bucket]]:
        """Metric → its buckets in their order; empty ones are left out."""
        return {name: [found[place] for place in sorted(found)] for name, found in sorted(self._buckets.items())}


def notable(buckets: list[Bucket], acted: Sequence[int] = (), width_ms: int = 0) -> Iterator[Bucket]:
    """The first and the last bucket, those where the mean had moved by a quarter or something was done.

    `acted` are the times of what was done, `width_ms` is how long a bucket is.
    """
    told: float | None = None
    for place, bucket in enumerate(buckets):
        moved = told is None or abs(bucket.mean - told) > NOTABLE * max(abs(told), 1e-9)
        done = any(bucket.at_ms <= at_ms < bucket.at_ms + width_ms for at_ms in acted)
        if moved or done or place == len(buckets) - 1:
            told = bucket.mean
            yield bucket
