"""A lane for each partition: its blocks one after the other, no partition waiting for another's.

Filled by the agents of `app.stream.build`; emptied and waited for by the transport. A block is
done when its handler has returned, and nothing else counts: Faust acknowledges an event whose
agent raised or was cancelled. A handler that returns something to wait for holds part of its block back:
those behind it are handled, and the block is done when that has ended. The lanes commit nothing and read nothing.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from time import monotonic

from faust.types.tuples import TP

from app.stream.blocks import IN_HAND, Block, Fenced

Handle = Callable[[Block], Awaitable[Awaitable[None] | None]]
"""What is done with a block; gives back what is still to end before the block is done, if anything is held back."""


class Lanes:
    """The blocks that were handed over and are not done yet, in the order of each partition."""

    def __init__(self, finished: Callable[[Block], None]) -> None:
        """`finished` is called with each block whose handler has ended, done or not."""
        self._finished = finished
        self._waiting: dict[TP, deque[tuple[Block, Handle]]] = {}
        self._running: dict[TP, asyncio.Task[None]] = {}
        self._held: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> set[TP]:
        """Partitions whose handler is at work."""
        return set(self._running)

    def put(self, block: Block, handle: Handle) -> None:
        """Have a block handled when those before it in its partition are done."""
        self._waiting.setdefault(block.tp, deque()).append((block, handle))
        if block.tp not in self._running:
            self._begin(block.tp)

    def _begin(self, tp: TP) -> None:
        self._running[tp] = asyncio.create_task(self._run(tp), name=f"lane {tp.topic}[{tp.partition}]")

    async def _run(self, tp: TP) -> None:
        waiting = self._waiting[tp]
        try:
            while waiting:
                block, handle = waiting.popleft()
                if not block.dropped:
                    await self._one(block, handle)
                self._finished(block)
        finally:
            del self._running[tp]
            if waiting:  # this one was given up, and others have come since
                self._begin(tp)

    async def _one(self, block: Block, handle: Handle) -> None:
        IN_HAND.set(block)
        try:
            rest = await handle(block)
        except Fenced:
            return
        if rest is None:
            block.done = not block.dropped
            return
        block.held, block.records = True, []
        task = asyncio.create_task(self._end(block, rest), name=f"rest of {block}")
        self._held.add(task)
        task.add_done_callback(self._held.discard)

    async def _end(self, block: Block, rest: Awaitable[None]) -> None:
        await rest
        block.done = not block.dropped
        self._finished(block)

    async def settle(self, longest_s: float) -> bool:
        """Begin nothing more, and wait for the handlers at work, but not for ever; whether all have ended.

        What is held back is not waited for: it comes again.
        """
        for waiting in self._waiting.values():
            for block, _ in waiting:
                block.dropped = True  # an event that is on its way may bring the one behind it yet
            waiting.clear()
        deadline = monotonic() + longest_s
        while self._running and (left := deadline - monotonic()) > 0:
            await asyncio.wait(self._running.values(), timeout=left)
        for held in list(self._held):
            held.cancel()
        return not self._running

    def end(self) -> None:
        """Give up what is still at work at the end or at a rebalance; it is not done, so it is read again."""
        for task in self._running.values():
            task.cancel()
