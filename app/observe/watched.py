"""What there is of one kind, kept up to date: listed once, followed from then on, listed again when that fails.

The observer runs one for each kind. While its connection is broken it is not `live`: what it has may be old, and
nobody must take it for news.
"""

import asyncio
import random
from contextlib import aclosing
from time import monotonic
from typing import Final, Never

import structlog

from app.observe.cluster import Api, BrokenError, GoneError, Object, Selection

PAUSES_S: Final = (0.2, 1.0, 2.0, 5.0, 10.0)
"""Pauses before it is tried again, the last for ever after."""

STEADY_S: Final = 5.0
"""Seconds for which a watch that brought nothing must last to count as one that worked."""

log = structlog.get_logger()


class Watched:
    """The objects of a selection by namespace and name. `changed` is set whenever they, or `live`, are others."""

    def __init__(self, api: Api, what: Selection, changed: asyncio.Event) -> None:
        self.objects: dict[tuple[str, str], Object] = {}
        self.live = False
        self.lists = 0
        self._api = api
        self._what = what
        self._changed = changed
        self._version = ""
        self._moved = False

    async def run(self) -> Never:
        """Keep them up to date until cancelled; raises ObserveError if the API will never let us."""
        failures = 0
        while True:
            began, self._moved = monotonic(), False
            try:
                if not self._version:
                    await self._list()
                await self._follow()
            except GoneError:
                log.info("observe_again", what=str(self._what), why="the version is too old")
                self._version = ""
            except BrokenError as error:
                self._set_live(live=False)
                log.warning("observe_broken", what=str(self._what), why=str(error))
            worked = self._moved or monotonic() - began >= STEADY_S
            failures = 0 if worked else failures + 1
            if failures > 1 or not self.live:  # one that ends at once may be by chance
                pause_s = PAUSES_S[min(max(failures, 1), len(PAUSES_S)) - 1]
                await asyncio.sleep(pause_s * random.uniform(0.8, 1.2))  # noqa: S311 - spreads observers

    async def _list(self) -> None:
        found, self._version = await self._api.listed(self._what)
        self.objects = {_key(one): one for one in found}
        self.lists += 1
        self._set_live(live=True)
        self._changed.set()

    async def _follow(self) -> None:
        async with aclosing(self._api.changes(self._what, self._version)) as events:
            async for kind, one in events:
                if kind == "OPEN":
                    self._set_live(live=True)
                    continue
                self._version, self._moved = one["metadata"]["resourceVersion"], True
                if kind in {"ADDED", "MODIFIED"}:
                    self.objects[_key(one)] = one
                elif kind == "DELETED":
                    self.objects.pop(_key(one), None)
                else:
                    continue  # a bookmark: nothing but a newer version
                self._changed.set()

    def _set_live(self, *, live: bool) -> None:
        if live is not self.live:
            self.live = live
            self._changed.set()


def _key(one: Object) -> tuple[str, str]:
    return one["metadata"]["namespace"], one["metadata"]["name"]
