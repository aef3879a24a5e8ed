"""Builds on their way to RabbitMQ: confirmed by it, or safe on the disk until it is back.

The webhooks hand builds in; what arrives together is published together. While anything is on the
disk, whatever comes joins it there, so that an answer never waits for a RabbitMQ that is away.
"""

import asyncio
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import structlog

from app import metrics
from app.gateway.spool import Spool, SpoolError
from app.queue.message import of_action
from app.queue.publisher import Publisher
from tasks.contract import Build

log = structlog.get_logger()

CONFIRM_S: Final = 2.0
"""Longest wait for RabbitMQ's confirm before builds go to the disk: a Git host waits 10 s for its answer."""
BATCH: Final = 500
"""Most builds that are published, or written to the disk, at once."""
RETRY_S: Final = 2.0
"""Seconds between two looks at a spool that cannot be read."""


class Accepted(StrEnum):
    """Where a build is safe."""

    CONFIRMED = "confirmed"  # RabbitMQ has it
    SPOOLED = "spooled"  # on the disk here; it goes on by itself


Job = tuple[Build, "asyncio.Future[Accepted]"]


class Jobs:
    """The way of builds from the gateway; one for each process, on one event loop."""

    def __init__(self, rabbitmq_url: str, spool: Spool) -> None:
        self._publisher = Publisher(rabbitmq_url)
        self._spool = spool
        self._jobs: asyncio.Queue[Job] = asyncio.Queue()
        self._spooled = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to publish, first of all what an earlier process left on the disk."""
        self._spooled.set()
        self._publisher.start()
        self._tasks = [asyncio.create_task(self._take()), asyncio.create_task(self._drain())]

    async def stop(self) -> None:
        """End; what was not promised was not answered, and what was is on RabbitMQ or on the disk."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self._publisher.stop)

    async def accept(self, build: Build) -> Accepted:
        """Return when the build is safe, and where; raises SpoolError if it is nowhere."""
        done: asyncio.Future[Accepted] = asyncio.get_running_loop().create_future()
        self._jobs.put_nowait((build, done))
        return await done

    async def _take(self) -> None:
        while True:
            jobs = [await self._jobs.get()]
            while len(jobs) < BATCH and not self._jobs.empty():
                jobs.append(self._jobs.get_nowait())
            builds = [build for build, _ in jobs]
            try:
                where = await self._safe(builds)
            except SpoolError as error:
                log.error("builds_refused", why=str(error), builds=len(builds))
                _answer(jobs, error)
            else:
                _answer(jobs, where)

    async def _safe(self, builds: Sequence[Build]) -> Accepted:
        if not self._spooled.is_set():
            try:
                async with asyncio.timeout(CONFIRM_S):
                    await self._publisher.publish([of_action(build) for build in builds])
            except TimeoutError:
                log.warning("builds_spooled", why=f"RabbitMQ has not confirmed within {CONFIRM_S:g} s")
            else:
                return Accepted.CONFIRMED
        await asyncio.to_thread(self._spool.put, builds)
        self._spooled.set()
        return Accepted.SPOOLED

    async def _drain(self) -> None:
        """Publish what is on the disk, oldest first, whenever something is."""
        said = False
        while True:
            await self._spooled.wait()
            self._spooled.clear()  # before the look: what comes after it sets it again
            try:
                builds = await asyncio.to_thread(self._spool.oldest, BATCH)
                metrics.SPOOLED.set(await asyncio.to_thread(self._spool.count))
                if not builds:
                    continue
                self._spooled.set()
                await self._publisher.publish([of_action(build) for build in builds])
                await asyncio.to_thread(self._spool.remove, builds)
                log.info("spool_published", builds=len(builds))
                said = False
            except SpoolError as error:
                if not said:
                    log.error("spool_unusable", why=str(error))
                said = True
                self._spooled.set()
                await asyncio.sleep(RETRY_S)


def _answer(jobs: Sequence[Job], answer: Accepted | SpoolError) -> None:
    for _, done in jobs:
        if done.done():
            continue  # whoever asked has gone
        if isinstance(answer, SpoolError):
            done.set_exception(answer)
        else:
            done.set_result(answer)
