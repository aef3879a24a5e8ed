"""What the thread that fetches takes of what arrived, and how long it waits for some."""

import asyncio
from types import SimpleNamespace

import pytest
from aiokafka.consumer.fetcher import FetchResult
from faust.types.tuples import TP

from app.stream.fetching import ConsumerThread
from tests.unit.stream.test_positions import TP0, record


class Fetched(FetchResult):
    """A fetch of some records, without the bytes."""

    def __init__(self, count, end):
        self.state = SimpleNamespace(position=0, paused=False, consumed_to=self.consumed_to)
        records = self.records(count, end)
        super().__init__(
            TP0, partition_records=records, backoff=0,
            assignment=SimpleNamespace(active=True, state_value=lambda _: self.state),
        )  # fmt: skip

    def consumed_to(self, position):
        self.state.position = position

    class records:  # noqa: N801 - one shape of aiokafka's
        def __init__(self, count, end):
            self.next_fetch_offset, self.offsets, self.end = 0, iter(range(count)), end

        def __iter__(self):
            return self

        def __next__(self):
            offset = next(self.offsets, None)
            if offset is None:
                self.next_fetch_offset = self.end
                raise StopIteration
            self.next_fetch_offset = offset + 1
            return record(offset)


def thread(**fetched):
    one = ConsumerThread.__new__(ConsumerThread)
    one.app = SimpleNamespace(block_topics={"metrics"})
    one.consumer = SimpleNamespace(flow_active=True)
    subscriptions = SimpleNamespace(reassignment_in_progress=False, is_assigned=lambda _: True, fetch_context=Nothing)
    fetcher = SimpleNamespace(
        _closed=False, _subscriptions=subscriptions, _records=fetched,
        _notify=lambda _: None, _wait_consume_future=None,
        _create_fetch_waiter=lambda: asyncio.get_running_loop().create_future(),
    )  # fmt: skip
    return one, SimpleNamespace(_closed=False, _fetcher=fetcher), fetcher


class Nothing:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


def test_a_large_fetch_comes_in_pieces_and_the_last_one_ends_where_the_fetch_does():
    one, consumer, fetcher = thread()
    fetcher._records[TP0] = Fetched(9_000, end=9_050)  # with control batches at its end
    pieces = [asyncio.run(one._fetch_records(consumer, {TP0}, timeout=0.0))[TP0] for _ in range(3)]
    assert [(piece.start, piece.end, len(piece.records)) for piece in pieces] == [
        (0, 4_000, 4_000), (4_000, 8_000, 4_000), (8_000, 9_050, 1_000),
    ]  # fmt: skip
    assert not fetcher._records


def test_a_fetch_of_aborted_records_alone_is_an_interval_too():
    one, consumer, fetcher = thread()
    fetcher._records[TP0] = Fetched(0, end=30)
    found = asyncio.run(one._fetch_records(consumer, {TP0}, timeout=0.0))[TP0]
    assert (found.start, found.end, found.records) == (0, 30, [])


def test_a_set_of_partitions_that_is_emptied_meanwhile_is_not_taken_for_all():
    async def run():
        one, consumer, fetcher = thread()
        active = {TP("metrics", 1)}
        taking = asyncio.create_task(one._fetch_records(consumer, active, timeout=0.2))
        await asyncio.sleep(0)
        active.clear()
        fetcher._records[TP0] = Fetched(5, end=5)
        one._waiter.set_result(None)
        assert await taking == {}
        assert fetcher._records[TP0].state.position == 0

    asyncio.run(run())


def test_a_wait_for_records_ends_when_it_is_woken():
    async def run():
        one, consumer, _ = thread()
        one.thread_loop = asyncio.get_running_loop()
        taking = asyncio.create_task(one._fetch_records(consumer, {TP0}, timeout=600.0))
        await asyncio.sleep(0)
        one.wake()
        assert await asyncio.wait_for(taking, 30) == {}
        assert await asyncio.wait_for(one._fetch_records(consumer, {TP0}, timeout=600.0), 30) == {}  # woken before

    asyncio.run(run())


def test_each_wait_for_records_ends_in_its_own_time():
    async def run():
        one, consumer, _ = thread()
        one.thread_loop = asyncio.get_running_loop()
        short = asyncio.create_task(one._fetch_records(consumer, {TP0}, timeout=0.05))
        await asyncio.sleep(0)
        long = asyncio.create_task(one._fetch_records(consumer, {TP0}, timeout=600.0))
        assert await asyncio.wait_for(short, 30) == {}
        assert not long.done()
        one.wake()
        assert await asyncio.wait_for(long, 30) == {}

    asyncio.run(run())


def test_whoever_asks_no_more_takes_nothing_from_the_next_one():
    async def run():
        one, consumer, fetcher = thread()
        one.thread_loop = one.parent_loop = asyncio.get_running_loop()
        one._ensure_consumer = lambda: consumer
        asking = asyncio.create_task(one.getmany({TP0}, 600.0))
        await asyncio.sleep(0.01)
        assert one._waiter is not None
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await asyncio.wait([one._answering])
        fetcher._records[TP0] = Fetched(5, end=5)
        if not one._waiter.done():
            one._waiter.set_result(None)
        await asyncio.sleep(0)
        assert fetcher._records[TP0].state.position == 0

    asyncio.run(asyncio.wait_for(run(), 30))
