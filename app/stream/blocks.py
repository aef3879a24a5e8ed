"""What the transport delivers: the records of one partition in an exact interval of positions."""

from contextvars import ContextVar
from typing import Any, Final

from faust.types.tuples import TP


class Block:
    """Records of `tp` at the positions `start` to `end` (exclusive).

    The interval can hold more positions than records: control batches, aborted transactions and
    compaction leave holes. Records have `offset`, `key`, `value`, `headers` and `timestamp`.

    `done` is set when everything that the block caused is durable downstream: nothing is committed
    without it. `held` is set when all but something that is held back is: what comes after the block may be
    handled, and is not committed. `dropped` is set when a rebalance takes the block back; it comes again, maybe
    to another process, so nothing of it may be written any more. `moves` counts what was done for it, for the watchdog.
    """

    __slots__ = ("done", "dropped", "end", "held", "moves", "records", "start", "tp")

    def __init__(self, tp: TP, start: int, end: int, records: list[Any]) -> None:
        self.tp = tp
        self.start = start
        self.end = end
        self.records = records
        self.done = False
        self.held = False
        self.dropped = False
        self.moves = 0

    def since(self, position: int) -> "Block":
        """The part of the block at and after a position within it."""
        return Block(self.tp, position, self.end, [record for record in self.records if record.offset >= position])

    def __repr__(self) -> str:
        return f"<Block {self.tp.topic}[{self.tp.partition}] {self.start}..{self.end} {len(self.records)} records>"


class Fetch(list[Block]):
    """Blocks of one topic that arrived together, one a partition: the value of one event."""


class Fenced(Exception):  # noqa: N818 - it is no error: the work comes again
    """The block in hand was taken back by a rebalance: what it would still have written must not be."""


IN_HAND: Final[ContextVar[Block | None]] = ContextVar("IN_HAND", default=None)
"""The block that the code running now works for, if for one."""
