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
MAX_AHEAD: Final = 100_000
"""Positions that a partition may be ahead of the first one that is held back: so much comes again after a crash."""


class Positions:
    """The blocks that are open, oldest first, and the positions around them."""

    def __init__(self, counts: Counter[str], room: Callable[[], None]) -> None:
        """`room` is called when a partition that was full is so no more."""
        self._counts = counts
        self._room = room
        self._open: dict[TP, deque[Block]] = {}
        self._left_out: set[TP] = set()
        self.done: dict[TP, int] = {}
        """Position up to which everything of a partition is done."""
        self.expected: dict[TP, int] = {}
        """Position at which the next block of a partition must start."""
        self.hold: dict[TP, int] = {}
        """Highest position that may be committed, for apps that keep state."""

    def full(self, tp: TP) -> bool:
        """Whether enough of a partition is under way."""
        entries = self._open.get(tp)
        if not entries:
            return False
        if entries[0].held:
            under_way = sum(not (block.done or block.held) for block in entries)
            full = under_way >= MAX_OPEN or entries[-1].end - entries[0].start >= MAX_AHEAD
        else:
            full = len(entries) >= MAX_OPEN
        if full:
            self._left_out.add(tp)
        return full

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
        while entries and entries[0].done:
            self.done[block.tp] = entries.popleft().end
        if entries and entries[0].held:
            self._open[block.tp] = _merged(entries)
        if block.tp in self._left_out and not self.full(block.tp):
            self._left_out.discard(block.tp)
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
        first = next(entry for entry in entries if not (entry.done or entry.held))
        if first.dropped:  # given up at a rebalance that is under way: what is behind it comes again too
            self._counts["stale"] += 1
            return False
        if first is not block:
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
            return self.done.get(tp, -1), entries[0].moves if entries else 0
        except IndexError:  # the last one was taken out this moment
            return self.done.get(tp, -1), -1


def _merged(entries: deque[Block]) -> deque[Block]:
    """The same positions, neighbours that are done as one: there are never many more than are held back."""
    found: deque[Block] = deque()
    for block in entries:
        if found and found[-1].done and block.done:
            found[-1].end = block.end
            found[-1].records = []
        else:
            found.append(block)
    return found
