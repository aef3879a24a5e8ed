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
"""Seconds for which a watch must last to count as one that worked."""

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

    async def run(self) -> Never:
        """Keep them up to date until cancelled; raises ObserveError if the API will never let us."""
        failures = 0
        while True:
            began = monotonic()
            try:
                if not self._version:
                    await self._list()
                await self._follow()
                why = "it ended at once"
            except GoneError:
                log.info("observe_again", what=str(self._what), why="the version is too old")
                self._version, why = "", "the version is too old again and again"
            except BrokenError as error:
                self._set_live(False)
                why = str(error)
                log.warning("observe_broken", what=str(self._what), why=why)
            failures = 0 if monotonic() - began >= STEADY_S else failures + 1
            if failures > 1 or not self.live:  # the first time may be by chance: nothing is missed by then
                pause_s = PAUSES_S[min(failures, len(PAUSES_S)) - 1] if failures else PAUSES_S[0]
                await asyncio.sleep(pause_s * random.uniform(0.8, 1.2))  # noqa: S311 - spreads observers

    async def _list(self) -> None:
        found, self._version = await self._api.listed(self._what)
        self.objects = {_key(one): one for one in found}
        self.lists += 1
        self._set_live(True)
        self._changed.set()

    async def _follow(self) -> None:
        async with aclosing(self._api.changes(self._what, self._version)) as events:
            async for kind, one in events:
                if kind == "OPEN":
                    self._set_live(True)
                    continue
                self._version = one["metadata"]["resourceVersion"]
                if kind in {"ADDED", "MODIFIED"}:
                    self.objects[_key(one)] = one
                elif kind == "DELETED":
                    self.objects.pop(_key(one), None)
                else:
                    continue  # a bookmark: nothing but a newer version
                self._changed.set()

    def _set_live(self, live: bool) -> None:  # noqa: FBT001 - a flag that is set
        if live is not self.live:
            self.live = live
            self._changed.set()


def _key(one: Object) -> tuple[str, str]:
    return one["metadata"]["namespace"], one["metadata"]["name"]
