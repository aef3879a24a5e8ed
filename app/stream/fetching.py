"""The thread that fetches: what arrived, with the exact interval of positions it covers.

Used by the transport only. It takes records where aiokafka keeps them after a fetch, so that the
position before and after is known; nothing in aiokafka is replaced, and other consumers in the
process are not touched.
"""

import asyncio
import contextlib
from time import monotonic
from typing import Any, Final

from aiokafka.consumer.fetcher import FetchResult
from faust.transport.drivers import aiokafka as driver
from faust.types.tuples import TP
from mode.utils.futures import maybe_set_exception, maybe_set_result

from app.stream.blocks import Block
from app.stream.ending import broken
from app.stream.gather import Gather
from app.stream.goodbye import prompt
from app.stream.sessions import in_sessions

BLOCK_RECORDS: Final = 4_000
"""Most records of a block: what a fetch has more of follows as further blocks, after the other partitions."""


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread that speaks to Kafka."""

    gather: Gather | None = None
    _waiter: asyncio.Future[bool | None] | None = None
    _answering: asyncio.Task[None]
    woken = False
    """Set by `wake`; whoever asks next clears it before deciding which partitions to ask for."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = "read_committed"  # noqa: SLF001 - Faust gives no way to ask for it
        prompt(consumer._client)  # noqa: SLF001
        return consumer

    async def on_start(self) -> None:
        """Start, with an ear at the coordinator's answers and a hand on how long a fetch may wait."""
        await super().on_start()
        consumer = self._ensure_consumer()
        coordinator = consumer._coordinator  # noqa: SLF001 - Faust reads its generation the same way
        coordinator._do_heartbeat = self.consumer.heart.listening(coordinator._do_heartbeat)  # noqa: SLF001
        coordinator._coordination_task.add_done_callback(self._uncoordinated)  # noqa: SLF001
        in_sessions(consumer._fetcher)  # noqa: SLF001
        self.gather = Gather(consumer._fetcher)  # noqa: SLF001

    def _uncoordinated(self, routine: asyncio.Task[None]) -> None:
        """The routine that keeps us in the group has ended: it is not begun again, and nobody else would notice.

        Seen where a Kafka that had just started named no broker.
        """
        if not routine.cancelled() and (error := routine.exception()) is not None:
            group = self.app.conf.id
            broken(f"{group} cannot stay in its group: {error}; whoever starts next joins it anew", exc_info=error)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """The coordinator has answered, with partitions."""
        self.consumer.heart.beat()
        await super().on_partitions_assigned(assigned, generation_id)

    async def getmany(self, active_partitions: Any, timeout: float) -> dict[TP, Any]:  # noqa: ASYNC109 - upstream's
        """What arrived. Asked for without upstream's queue of calls, whose worker waits for each in three tasks."""
        asked = self.parent_loop.create_future()
        self.thread_loop.call_soon_threadsafe(self._begin, asked, active_partitions, timeout)
        try:
            return await asked  # type: ignore[no-any-return]
        finally:
            if asked.cancelled():  # nobody waits any more: what it still took would be missing, and be read again
                with contextlib.suppress(RuntimeError):  # of a thread that has ended
                    self.thread_loop.call_soon_threadsafe(self._give_up)

    def _begin(self, asked: asyncio.Future[Any], active: Any, timeout_s: float) -> None:
        self._answering = self.thread_loop.create_task(self._answer(asked, active, timeout_s))

    def _give_up(self) -> None:
        self._answering.cancel()

    async def _answer(self, asked: asyncio.Future[Any], active: Any, timeout_s: float) -> None:
        tell = self.parent_loop.call_soon_threadsafe
        try:
            found = await self._fetch_records(self._ensure_consumer(), active, timeout_s)
        except BaseException as error:  # noqa: BLE001 - also a cancellation: whoever asked must not wait for ever
            tell(maybe_set_exception, asked, error)
        else:
            tell(maybe_set_result, asked, found)

    def wake(self) -> None:
        """From the main thread: whoever waits for records is to look again at which partitions to ask for."""
        self.woken = True
        if self._waiter is not None:
            self.thread_loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        if self._waiter is not None:
            _release(self._waiter)

    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: Any,
        timeout: float | None = None,  # noqa: ASYNC109 - upstream's parameter
        **_: Any,
    ) -> dict[TP, Any]:
        if not self.consumer.flow_active:
            return {}
        fetcher = consumer._fetcher  # noqa: SLF001 - upstream's own way to it
        if consumer._closed or fetcher._closed:  # noqa: SLF001
            raise driver.ConsumerStoppedError
        with fetcher._subscriptions.fetch_context():  # noqa: SLF001 - counts as a poll
            taken = await self._take(fetcher, active_partitions, timeout or 0.0)
        if self.gather is not None:
            self.gather.see(sum(len(one.records) for one in taken.values() if isinstance(one, Block)))
        return taken

    async def _take(self, fetcher: Any, active: frozenset[TP], timeout_s: float) -> dict[TP, Any]:
        """What was fetched for the active partitions, waiting for some if there is none."""
        subscriptions = fetcher._subscriptions  # noqa: SLF001
        deadline = monotonic() + timeout_s
        while True:
            if subscriptions.reassignment_in_progress:
                await subscriptions.wait_for_assignment()
            taken = self._taken(fetcher, active)
            left = deadline - monotonic()
            if taken or left <= 0:
                return taken
            waiter = self._waiter = fetcher._create_fetch_waiter()  # noqa: SLF001
            if self.woken:  # looked at after the waiter is there: a wake between the two is not missed
                waiter.cancel()
                return {}
            limit = asyncio.get_running_loop().call_later(left, _release, waiter)
            try:
                over = await waiter  # raises what the broker refused
            finally:
                limit.cancel()
            if over or fetcher._closed or self.woken:  # noqa: SLF001
                return {}

    def _taken(self, fetcher: Any, active: frozenset[TP]) -> dict[TP, Any]:
        taken: dict[TP, Any] = {}
        fetched = fetcher._records  # noqa: SLF001
        for tp in list(fetched):
            if tp not in active:  # upstream takes an empty set for all
                if not fetcher._subscriptions.is_assigned(tp):  # noqa: SLF001
                    del fetched[tp]
                continue
            result = fetched[tp]
            if not isinstance(result, FetchResult):
                if taken:
                    return taken  # the error is raised by the next call
                del fetched[tp]
                fetcher._notify(fetcher._wait_consume_future)  # noqa: SLF001
                result.check_raise()
                continue
            found = self._records_of(tp, result)
            if not result.has_more():
                del fetched[tp]
                fetcher._notify(fetcher._wait_consume_future)  # noqa: SLF001
            if found is not None:
                taken[tp] = found
        return taken

    def _records_of(self, tp: TP, result: FetchResult) -> Any:
        """Records of one fetch; for a block topic with the exact interval of positions they cover."""
        if tp.topic not in self.app.block_topics:
            return result.getall(self._ensure_consumer()._max_poll_records) or None  # noqa: SLF001
        assignment = result._assignment  # noqa: SLF001
        if not result.check_assignment(tp):
            return None
        position = assignment.state_value(tp)
        start = position.position
        # the record as it was decoded, without the dataclass around it: a third of the fetch's CPU
        result._partition_records._consumer_record = _bare  # noqa: SLF001
        records = result.getall(BLOCK_RECORDS)
        end = position.position
        return Block(TP(tp.topic, tp.partition), start, end, records) if end > start else None


def _release(waiter: asyncio.Future[bool | None]) -> None:
    """End a wait for what was fetched; aiokafka ends it with None when something was."""
    if not waiter.done():
        waiter.set_result(True)


def _bare(_tp: Any, record: Any) -> Any:
    return record
