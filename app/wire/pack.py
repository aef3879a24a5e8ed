"""Samples of one source partition, packed as columns, for each journal partition.

`read` fills the packs. A pack is closed before it outgrows what one journal message should be;
where that falls changes nothing for the reader, whose marks count samples, not packs.
"""

from functools import lru_cache
from typing import Final

from app.policy.facts import Fact, Samples, Source
from app.policy.facts import partition_of as _partition_of
from app.wire.metrics import REMEMBERED, Measured, Sample
from app.wire.rules import Raw

PACK: Final = 4_000
"""Most samples of one pack: about 200 kB of JSON."""

PACK_BYTES: Final = 450_000
"""Most bytes of one pack's JSON, roughly; the topic takes 2 MB."""

ROW_BYTES: Final = 64
"""A sample in the columns: index, time, value, offset and item with their commas, at most about this."""

partition_of = lru_cache(maxsize=REMEMBERED)(_partition_of)
"""Journal partition of a service, remembered: the hash costs more than the rest of a sample."""


class _Pack:
    """An open pack of a journal partition: its series, and its samples as rows of the columns."""

    __slots__ = ("measured", "raw", "rows", "size")

    def __init__(self, raw: Raw) -> None:
        self.raw = raw
        self.measured: list[Measured] = []
        self.rows: list[tuple[int, int, float, int, int]] = []
        self.size = 0
        """Bytes of its series as JSON."""

    def fact(self) -> Samples:
        """The pack as it goes to the journal."""
        index, at_ms, value, offset, item = (list(column) for column in zip(*self.rows, strict=True))
        first, last = int(offset[0]), int(offset[-1])
        source = Source(self.raw.topic, self.raw.topic_id, self.raw.partition, first, last)
        series = [one.series for one in self.measured]
        return Samples(source, series, index, at_ms, value, [each - first for each in offset], item)


class Packs:
    """The packs of a source partition for all journal partitions, each in source order."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._open: dict[int, _Pack] = {}
        self._closed: dict[int, list[Fact]] = {}
        self._places: dict[Measured, tuple[_Pack, int]] = {}
        """Where samples of a series go: an open pack, and the number of the series in it."""

    def add(self, raw: Raw, samples: list[Sample]) -> None:
        """Put the samples of a record at the end."""
        offset, places = raw.offset, self._places
        for item, (measured, at_ms, value) in enumerate(samples):
            place = places.get(measured)
            if place is None or len(place[0].rows) == PACK:
                place = self._place(measured, raw)
            pack, number = place
            pack.rows.append((number, at_ms, value, offset, item))

    def facts(self) -> dict[int, list[Fact]]:
        """Everything that was added, by journal partition; call it once, last."""
        for partition, pack in self._open.items():
            self._closed.setdefault(partition, []).append(pack.fact())
        return self._closed

    def _place(self, measured: Measured, raw: Raw) -> tuple[_Pack, int]:
        """Where samples of a series go that has no place yet, or one in a full pack."""
        partition, size = partition_of(measured.series.service, self._partitions), measured.size
        pack = self._open.get(partition)
        rows = 0 if pack is None else len(pack.rows)
        if pack is None or rows == PACK or pack.size + size + (rows + 1) * ROW_BYTES > PACK_BYTES:
            if pack is not None:
                self._close(partition, pack)
            pack = self._open[partition] = _Pack(raw)
        place = self._places[measured] = pack, len(pack.measured)
        pack.measured.append(measured)
        pack.size += size
        return place

    def _close(self, partition: int, pack: _Pack) -> None:
        for measured in pack.measured:
            del self._places[measured]
        self._closed.setdefault(partition, []).append(pack.fact())
