"""Metrics made small: a stretch of samples as a few buckets for each metric, and the moments worth telling.

`app.history.timeline` calls it. Samples are taken one pack after another and none is kept.
"""

from collections.abc import Iterator
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

    def take(self, pack: Samples) -> None:
        """Take the samples of a pack that are of the service and the stretch, by their own times."""
        mine = {number: one for number, one in enumerate(pack.series) if one.service == self._service}
        if not mine:
            return
        for number, at_ms, value in zip(pack.index, pack.at_ms, pack.value, strict=True):
            if number not in mine or not self._from_ms <= at_ms < self._to_ms:
                continue
            series = mine[number]
            buckets = self._of(series.name)
            if buckets is None:
                continue
            place = (at_ms - self._from_ms) // self.bucket_ms
            bucket = buckets.get(place)
            if bucket is None:
                bucket = buckets[place] = Bucket(self._from_ms + place * self.bucket_ms)
            bucket.sum += value
            bucket.count += 1
            bucket.least = min(bucket.least, value)
            bucket.most = max(bucket.most, value)
            bucket.instances.add(hash(tuple(sorted(series.labels.items()))))
            self.samples += 1

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


def notable(buckets: list[Bucket]) -> Iterator[Bucket]:
    """The first and the last bucket, and those between in which the mean had moved by a quarter."""
    told: float | None = None
    for place, bucket in enumerate(buckets):
        moved = told is None or abs(bucket.mean - told) > NOTABLE * max(abs(told), 1e-9)
        if moved or place == len(buckets) - 1:
            told = bucket.mean
            yield bucket
