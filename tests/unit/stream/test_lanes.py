"""Lanes, the fence before each write, and gathering: without a broker."""

import asyncio
from types import SimpleNamespace

import pytest
from faust.types.tuples import TP

from app.stream.blocks import IN_HAND, Block, Fenced
from app.stream.gather import STEPS, WINDOW_S, Gather
from app.stream.heart import Heart
from app.stream.lanes import Lanes


def block(partition, start=0):
    return Block(TP("metrics", partition), start, start + 10, [])


class Handler:
    """Takes note of what it is given, and lets it go when told to."""

    def __init__(self):
        self.began, self.gates = [], {}

    async def __call__(self, block):
        self.began.append((block.tp.partition, block.start))
        await self.gates.setdefault((block.tp.partition, block.start), asyncio.Event()).wait()

    def release(self, partition, start):
        self.gates.setdefault((partition, start), asyncio.Event()).set()


async def turns():
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_partition_goes_in_order_and_waits_for_no_other():
    async def run():
        finished, handler = [], Handler()
        lanes = Lanes(lambda one: finished.append((one.tp.partition, one.start)))
        for one in (block(0), block(0, 10), block(1), block(1, 10)):
            lanes.put(one, handler)
        await turns()
        assert handler.began == [(0, 0), (1, 0)]
        handler.release(1, 0)
        await turns()
        assert handler.began == [(0, 0), (1, 0), (1, 10)]
        assert finished == [(1, 0)]
        handler.release(0, 0)
        handler.release(1, 10)
        await turns()
        handler.release(0, 10)
        await turns()
        assert finished == [(1, 0), (0, 0), (1, 10), (0, 10)]
        assert not lanes.busy

    asyncio.run(run())


def test_only_a_handler_that_returned_makes_a_block_done():
    async def fenced(_):
        raise Fenced

    async def run():
        lanes, handler = Lanes(lambda _: None), Handler()
        given_up, dropped, kept = block(0), block(1), block(2)
        for one, handle in ((given_up, fenced), (dropped, handler), (kept, handler)):
            lanes.put(one, handle)
        await turns()
        dropped.dropped = True
        handler.release(1, 0)
        handler.release(2, 0)
        await turns()
        assert [one.done for one in (given_up, dropped, kept)] == [False, False, True]

    asyncio.run(run())


def test_a_handler_that_holds_something_back_lets_the_next_begin_and_its_block_is_done_at_the_end_of_that():
    async def run():
        finished, gate = [], asyncio.Event()

        async def handle(one):
            return gate.wait() if one.start == 0 else None

        lanes = Lanes(lambda one: finished.append((one.start, one.done)))
        first, second, third = block(0), block(0, 10), block(0, 20)
        for one in (first, second):
            lanes.put(one, handle)
        await turns()
        assert finished == [(0, False), (10, True)]
        assert first.held
        gate.set()
        await turns()
        assert finished[2:] == [(0, True)]
        gate.clear()
        third.start = 0
        lanes.put(third, handle)
        await turns()
        assert await lanes.settle(5), "what is held back is not waited for"
        gate.set()
        await turns()
        assert not third.done

    asyncio.run(run())


def test_settling_waits_for_what_is_in_hand_and_begins_nothing_more():
    async def run():
        lanes, handler = Lanes(lambda _: None), Handler()
        first, second = block(0), block(0, 10)
        lanes.put(first, handler)
        lanes.put(second, handler)
        await turns()
        assert not await lanes.settle(0.01)
        asyncio.get_running_loop().call_later(0.01, handler.release, 0, 0)
        assert await lanes.settle(10)
        assert first.done
        assert not second.done
        assert second.dropped
        assert handler.began == [(0, 0)]

    asyncio.run(run())


def test_a_lane_that_was_given_up_goes_on_with_what_comes_next():
    async def run():
        lanes, handler = Lanes(lambda _: None), Handler()
        first, second = block(0), block(0, 10)
        lanes.put(first, handler)
        await turns()
        lanes.end()
        lanes.put(second, handler)
        handler.release(0, 10)
        await turns()
        assert not first.done
        assert second.done

    asyncio.run(run())


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_a_write_waits_until_the_coordinator_has_answered_within_the_session():
    async def run():
        clock = Clock()
        heart = Heart(6, clock)
        await heart.fence()
        clock.now = 7.0
        waiting = asyncio.create_task(heart.fence())
        await asyncio.sleep(0.1)
        assert not waiting.done()
        heart.beat()
        await asyncio.wait_for(waiting, 10)
        assert heart.fences == 1

    asyncio.run(run())


def test_what_a_rebalance_took_back_is_not_written():
    async def run():
        clock, one = Clock(), block(0)
        heart = Heart(6, clock)
        IN_HAND.set(one)
        await heart.fence()
        clock.now = 7.0
        waiting = asyncio.create_task(heart.fence())
        await asyncio.sleep(0.05)
        one.dropped = True
        heart.beat()
        with pytest.raises(Fenced):
            await asyncio.wait_for(waiting, 10)
        with pytest.raises(Fenced):
            await heart.fence()

    asyncio.run(run())


def test_a_heartbeat_counts_from_when_it_was_asked_and_only_if_it_was_answered():
    async def run():
        clock, answers = Clock(), []

        async def ask():
            clock.now += 5.0
            return answers.pop()

        heart = Heart(6, clock)
        asked = heart.listening(ask)
        answers += [False, True]
        assert await asked()
        assert heart.silent_s == 5.0
        assert not await asked()
        assert heart.silent_s == 10.0
        assert not heart.fresh

    asyncio.run(run())


def test_fetches_are_gathered_while_records_pour_in_and_not_at_rest():
    fetcher, clock = SimpleNamespace(_fetch_min_bytes=1, _fetch_max_wait_ms=1500), Clock()
    gather = Gather(fetcher, clock)
    some, many = STEPS

    def pass_window(rate):
        clock.now += 2 * WINDOW_S
        gather.see(round(rate * 2 * WINDOW_S))
        return fetcher._fetch_min_bytes, fetcher._fetch_max_wait_ms

    rest, little, much = (1, 1500), (some.size, some.wait_ms), (many.size, many.wait_ms)
    assert pass_window(some.rate - 10) == rest
    assert pass_window(some.rate + 10) == little
    assert pass_window(some.rate / 2 + 10) == little  # not on and off at the edge
    assert pass_window(many.rate - 10) == little
    assert pass_window(many.rate + 10) == much
    assert pass_window(many.rate / 2 + 10) == much
    assert pass_window(many.rate / 2 - 10) == little
    assert pass_window(0) == rest
    assert gather.times == 1
    assert pass_window(many.rate + 10) == much
    assert gather.times == 2
