"""Messages that RabbitMQ refuses for now, kept in order until it takes them. The publisher's thread uses it.

A kind of which one was refused is held back as a whole, and published again in rounds: of each service its
oldest, so that none overtakes another of its own. Other kinds are not touched. Nothing here publishes.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from app.queue.message import Outgoing

MOST: Final = 10_000
"""Messages that are held back before everything waits: what is in memory, and what a crash publishes again."""


class Item(NamedTuple):
    """A message that waits. `wanted`: whether somebody still waits for it; `confirmed` is called when it is."""

    message: Outgoing
    wanted: Callable[[], bool]
    confirmed: Callable[[], None]


class Held:
    """What is held back: by kind, and within it by routing key, which is one service's."""

    def __init__(self) -> None:
        self._kinds: dict[str, dict[str, deque[Item]]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def kinds(self) -> dict[str, int]:
        """How many of each kind."""
        return {kind: sum(map(len, keys.values())) for kind, keys in self._kinds.items()}

    def has(self, kind: str) -> bool:
        """Whether a kind is held back, so that another of it has to wait behind."""
        return kind in self._kinds

    def put(self, item: Item) -> None:
        """Hold one back, behind those that are there."""
        keys = self._kinds.setdefault(item.message.kind, {})
        keys.setdefault(item.message.routing_key, deque()).append(item)
        self._count += 1

    def round(self) -> list[Item]:
        """What may be published next, side by side: the oldest of each kind and service that is still wanted."""
        for kind, keys in list(self._kinds.items()):
            for key in list(keys):
                while key in keys and not keys[key][0].wanted():
                    self._remove(kind, key)
        return [waiting[0] for keys in self._kinds.values() for waiting in keys.values()]

    def taken(self, item: Item) -> None:
        """One of the last round is confirmed."""
        self._remove(item.message.kind, item.message.routing_key)

    def _remove(self, kind: str, key: str) -> None:
        keys = self._kinds[kind]
        keys[key].popleft()
        self._count -= 1
        if not keys[key]:
            del keys[key]
        if not keys:
            del self._kinds[kind]
