"""Samples of one source partition, packed as columns for one journal partition.

`read` fills the packs. A pack is closed before it outgrows what one journal message should be;
where that falls changes nothing for the reader, whose marks count samples, not packs.
"""

from functools import lru_cache
from typing import Final

from app.policy.facts import Fact, Samples, Series, Source
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


class Packs:
    """The packs of one journal partition, in source order."""

    def __init__(self, raw: Raw) -> None:
        self._raw = raw
        self._closed: list[Fact] = []
        self._open()

    def add(self, sample: Sample, offset: int, item: int) -> None:
        """Put a sample at the end."""
        measured, at_ms, value = sample
        index = self._index.get(measured)
        if index is None or len(self._rows) == PACK:
            index = self._new(measured)
        self._rows.append((index, at_ms, value, offset, item))

    def facts(self) -> list[Fact]:
        """Everything that was added; call it once, last."""
        self._close()
        return self._closed

    def _open(self) -> None:
        self._index: dict[Measured, int] = {}
        self._series: list[Series] = []
        self._rows: list[tuple[int, int, float, int, int]] = []
        self._bytes = 0

    def _new(self, measured: Measured) -> int:
        full = self._bytes + measured.size + (len(self._rows) + 1) * ROW_BYTES > PACK_BYTES
        if self._rows and (full or len(self._rows) == PACK):
            self._close()
            self._open()
        self._bytes += measured.size
        self._series.append(measured.series)
        self._index[measured] = len(self._series) - 1
        return self._index[measured]

    def _close(self) -> None:
        index, at_ms, value, offset, item = (list(column) for column in zip(*self._rows, strict=True))
        first, last = int(offset[0]), int(offset[-1])
        source = Source(self._raw.topic, self._raw.topic_id, self._raw.partition, first, last)
        self._closed.append(Samples(source, self._series, index, at_ms, value, [each - first for each in offset], item))
