"""Tells what runs in a namespace of Kubernetes: at each change, and every half minute though nothing changed.

`headrace observe kubernetes` runs it. It reads from the API and writes to one topic. What it cannot see for sure it
does not tell: while a watch is broken it is silent, and two workloads of one service are told as neither.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from time import monotonic, time
from typing import Final

import structlog

from app.observe.cluster import DEPLOYMENTS, PODS, STATEFUL_SETS, Api, Object, Selection
from app.observe.report import Message, Pods, report, service_of
from app.observe.watched import Watched

EVERY_S: Final = 30.0
"""Seconds after which what has not changed is told again."""

GATHER_S: Final = 0.1
"""Seconds for which changes are gathered: a rollout makes many at once, and each costs a look at all."""

log = structlog.get_logger()

Tell = Callable[[Message], None]


class Observer:
    """The Deployments and StatefulSets of a namespace that have some labels, each with its Pods."""

    def __init__(self, api: Api, namespace: str, labels: str, tell: Tell, every_s: float = EVERY_S) -> None:
        """`tell` is given each message, and raises what ends the observer."""
        self._changed = asyncio.Event()
        place = namespace or api.namespace
        chosen = [Selection(kind, place, labels) for kind in (DEPLOYMENTS, STATEFUL_SETS)]
        self.watched = [Watched(api, what, self._changed) for what in (*chosen, Selection(PODS, place))]
        self._tell = tell
        self._every_s = every_s
        self._told: dict[str, tuple[Message, float]] = {}
        self._newest: dict[tuple[str, str], int] = {}
        self._shared: set[str] = set()

    async def run(self, *, once: bool = False) -> None:
        """Tell until cancelled, or `once`: when all was seen. ObserveError if the API will not let us."""
        try:
            async with asyncio.TaskGroup() as group:
                watches = [group.create_task(one.run()) for one in self.watched]
                await self._report(once=once)
                for one in watches:
                    one.cancel()
        except BaseExceptionGroup as errors:
            first = errors.exceptions[0]
            raise first from first.__cause__

    async def _report(self, *, once: bool) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), self._due_s())
            await asyncio.sleep(GATHER_S)
            self._changed.clear()
            if all(one.live for one in self.watched):
                self._look()
                if once:
                    return

    def _due_s(self) -> float:
        """Seconds until something has to be told again; never none, so that one that is overdue makes no haste."""
        first = min((at for _, at in self._told.values()), default=monotonic())
        return max(1.0, first + self._every_s - monotonic())

    def _look(self) -> None:
        """Tell what is new, and what was told long ago."""
        now = monotonic()
        messages = {message["service"]: message for message in self._messages()}
        self._told = {service: told for service, told in self._told.items() if service in messages}
        for service, message in messages.items():
            before, at = self._told.get(service, ({}, 0.0))
            if message != before or now - at >= self._every_s:
                self._tell(message | {"at": int(time() * 1000)})
                self._told[service] = (message, now)

    def _messages(self) -> Iterator[Message]:
        *kinds, pods = self.watched
        found = Pods(pods.objects.values())
        for service, (one, *others) in _services(kinds).items():
            if others:
                self._say_shared(service, [one, *others])
                continue
            self._shared.discard(service)
            key = (one["metadata"]["namespace"], one["metadata"]["name"])
            message = report(one, found.of(one), self._newest.get(key, 0))
            self._newest[key] = message["generation"]
            yield message

    def _say_shared(self, service: str, workloads: list[Object]) -> None:
        if service not in self._shared:
            self._shared.add(service)
            names = ", ".join(sorted(str(one["metadata"]["name"]) for one in workloads))
            log.warning("observe_shared", service=service, workloads=names, why="they have one name: none is told")


def _services(kinds: list[Watched]) -> dict[str, list[Object]]:
    """Workloads by service."""
    services: dict[str, list[Object]] = {}
    for kind in kinds:
        for one in kind.objects.values():
            services.setdefault(service_of(one), []).append(one)
    return services
