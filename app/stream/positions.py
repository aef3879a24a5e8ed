"""Where each partition stands: what was delivered, what is done, and how far may be committed.

Kept by the transport's consumer, in the main thread. Only bookkeeping: nothing here speaks to Kafka.
"""

from collections import Counter, deque
from collections.abc import Callable
from typing import Final

from faust.types.tuples import TP

from app.stream.blocks import Block

MAX_OPEN: Final = 4
"""Blocks of one partition that may be under way: beyond, it is left out of the fetch."""


class Positions:
    """The blocks that are open, oldest first, and the positions around them."""

    def __init__(self, counts: Counter[str], room: Callable[[], None]) -> None:
        """`room` is called when a partition that was full is so no more."""
        self._counts = counts
        self._room = room
        self._open: dict[TP, deque[Block]] = {}
        self.done: dict[TP, int] = {}
        """Position up to which everything of a partition is done."""
        self.expected: dict[TP, int] = {}
        """Position at which the next block of a partition must start."""
        self.hold: dict[TP, int] = {}
        """Highest position that may be committed, for apps that keep state."""

    def full(self, tp: TP) -> bool:
        """Whether enough of a partition is under way."""
        return len(self._open.get(tp, ())) >= MAX_OPEN

    def start(self, tp: TP, position: int) -> None:
        """A partition is read from here on, whatever was under way of it."""
        for block in self._open.pop(tp, ()):
            block.dropped = True
        self.expected[tp] = self.done[tp] = position

    def deliver(self, block: Block) -> bool:
        """Whether a block goes to its lane: only if its partition still stands where the block starts."""
        if self.expected.get(block.tp) != block.start:
            return False
        self._open.setdefault(block.tp, deque()).append(block)
        self.expected[block.tp] = block.end
        return True

    def finished(self, block: Block) -> None:
        """A handler has ended: what is done from the beginning on may be committed."""
        entries = self._open.get(block.tp)
        if entries is None:
            return
        was_full = self.full(block.tp)
        while entries and entries[0].done:
            self.done[block.tp] = entries.popleft().end
        if was_full and not self.full(block.tp):
            self._room()

    def turn_of(self, block: Block) -> bool:
        """Whether a lane is to handle a block now; False for one from before a rebalance, which comes again.

        Raises if what came before it is not done: a source's facts must be written in order, or the
        marks of the auto-scaler take the later ones for a sign that the earlier were seen.
        """
        entries = self._open.get(block.tp) or deque()
        if block.dropped or not any(entry is block for entry in entries):
            self._counts["stale"] += 1
            return False
        if entries[0] is not block:
            raise RuntimeError(f"{block} came to its handler before an earlier block of its partition was done")
        return True

    def committable(self, tp: TP, *, held: bool) -> int | None:
        """The position to commit, if there is one; `held`: never past what the written state contains."""
        done = self.done.get(tp)
        if done is None or not held:
            return done
        hold = self.hold.get(tp)
        return None if hold is None else min(done, hold)

    def drop_open(self) -> None:
        """What is under way is somebody else's by now: nothing of it may be written or committed any more."""
        for tp in list(self._open):
            for block in self._open.pop(tp):
                block.dropped = True

    def forget(self) -> None:
        """All partitions are given back."""
        self.drop_open()
        for kept in (self.done, self.expected, self.hold):
            kept.clear()

    def progress_of(self, tp: TP) -> tuple[int, int]:
        """What changes while anything of a partition gets done; for the watchdog, from its own thread."""
        entries = self._open.get(tp)
        try:
            return self.done.get(tp, -1), entries[0].writes if entries else 0
        except IndexError:  # the last one was taken out this moment
            return self.done.get(tp, -1), -1
