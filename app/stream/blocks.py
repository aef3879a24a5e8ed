"""What the transport delivers: the records of one partition in an exact interval of positions."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from faust.types.tuples import TP


class Block:
    """Records of `tp` at the positions `start` to `end` (exclusive).

    The interval can hold more positions than records: control batches, aborted transactions and
    compaction leave holes. Records have `offset`, `key`, `value`, `headers` and `timestamp`.
    """

    __slots__ = ("end", "records", "start", "tp")

    def __init__(self, tp: TP, start: int, end: int, records: list[Any]) -> None:
        self.tp = tp
        self.start = start
        self.end = end
        self.records = records

    def since(self, position: int) -> "Block":
        """The part of the block at and after a position within it."""
        return Block(self.tp, position, self.end, [record for record in self.records if record.offset >= position])

    def __repr__(self) -> str:
        return f"<Block {self.tp.topic}[{self.tp.partition}] {self.start}..{self.end} {len(self.records)} records>"


class Fetch(list[Block]):
    """Blocks of one topic that arrived together: the value of one event.

    `done` is set by the agent when everything that the blocks caused is durable downstream. Faust
    acknowledges an event whose agent raised or was cancelled; nothing is committed without this.
    """

    __slots__ = ("done",)

    def __init__(self, blocks: Iterable[Block]) -> None:
        super().__init__(blocks)
        self.done = False


class Entry(NamedTuple):
    """A delivered block whose `fetch` is awaited, and the position to commit then."""

    fetch: Fetch
    end: int
