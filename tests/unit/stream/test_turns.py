"""A block that takes long leaves the loop to others now and then, and is given up when it is taken back."""

import asyncio
import time
from itertools import pairwise
from types import SimpleNamespace

import pytest
from faust.types.tuples import TP

from app import autoscaler
from app.policy.facts import Tick, encode
from app.policy.state import empty
from app.stream.blocks import IN_HAND, Block, Fenced
from app.stream.heart import Heart
from app.stream.topics import JOURNAL

SLOW_S = 0.02
RECORDS = 40


@pytest.fixture
def taken(monkeypatch):
    """Offsets of the facts that were taken; each takes longer than a fact should."""
    found, step = [], autoscaler.step

    def slow(state, record):
        time.sleep(SLOW_S)  # as much work as that: the loop is held
        found.append(record.offset)
        return step(state, record)

    monkeypatch.setattr(autoscaler, "step", slow)
    return found


def long_block():
    records = [SimpleNamespace(offset=n, timestamp=1_000 * n, value=encode(Tick(0))) for n in range(RECORDS)]
    return Block(TP(JOURNAL, 0), 0, RECORDS, records)


def advanced(block, beside):
    """What comes of a block, with another routine beside it in the same loop."""

    async def run():
        IN_HAND.set(block)
        other = asyncio.create_task(beside())
        try:
            return await autoscaler.advance(empty(0), block, Heart(60.0))
        finally:
            other.cancel()

    return asyncio.run(run())


def test_others_have_their_turn_while_a_block_takes_long_and_the_watchdog_sees_it_move(taken):
    turns, block = [], long_block()

    async def beside():
        while True:
            turns.append((len(taken), block.moves))
            await asyncio.sleep(0)

    state, decided = advanced(block, beside)
    assert (state.next_offset, decided, taken) == (RECORDS, [], list(range(RECORDS)))
    assert len(turns) >= 5
    assert max(later - one for (one, _), (later, _) in pairwise(turns)) <= RECORDS / 4
    assert [moves for _, moves in turns] == sorted({moves for _, moves in turns})


def test_a_block_that_is_taken_back_meanwhile_goes_no_further(taken):
    block = long_block()

    async def beside():
        while len(taken) < RECORDS / 4:  # noqa: ASYNC110 - a turn of the loop is what is meant
            await asyncio.sleep(0)
        block.dropped = True

    with pytest.raises(Fenced):
        advanced(block, beside)
    assert len(taken) <= RECORDS / 2
