"""Whether this process still is who it thinks: when the group's coordinator last answered it.

Kept by the thread that speaks to Kafka, asked before every write. A process that was frozen, or
cut off, for longer than its session has been replaced without knowing; until the coordinator has
answered again it must not write what it had in hand.
"""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final

from app.stream.blocks import IN_HAND, Fenced

LOOK_S: Final = 0.02


class Heart:
    """The moment of the last heartbeat that was answered, against the session."""

    def __init__(self, session_s: float, clock: Callable[[], float] = monotonic) -> None:
        self._session_s = session_s
        self._clock = clock
        self._last = clock()
        self.fences = 0
        """How often a write had to wait, or was given up."""

    def beat(self) -> None:
        """The coordinator has answered."""
        self._last = self._clock()

    @property
    def silent_s(self) -> float:
        """Seconds since it last did."""
        return self._clock() - self._last

    @property
    def fresh(self) -> bool:
        """Whether the session cannot have ended yet."""
        return self.silent_s < self._session_s

    def listening(self, ask: Callable[[], Awaitable[bool]]) -> Callable[[], Awaitable[bool]]:
        """`ask` the coordinator, taking notice of the answer; the session counts from when it was asked."""

        async def asked() -> bool:
            began = self._clock()
            answered = await ask()
            if answered:
                self._last = max(self._last, began)
            return answered

        return asked

    async def fence(self) -> None:
        """Return when it is right to write; raises Fenced if the block in hand is another's business by now."""
        block = IN_HAND.get()
        if self.fresh and (block is None or not block.dropped):
            return
        self.fences += 1
        while True:
            if block is not None and block.dropped:
                raise Fenced
            if self.fresh:
                return
            await asyncio.sleep(LOOK_S)
