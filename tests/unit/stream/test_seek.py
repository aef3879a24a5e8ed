"""Where the transport goes on after a rebalance: by the state, by what is committed, else from the earliest."""

import asyncio
from collections import Counter
from types import SimpleNamespace

from faust.transport.drivers import aiokafka as driver
from faust.types.tuples import TP

from app.stream.positions import Positions
from app.stream.transport import Consumer

TOPIC = "metrics"


def prepare(monkeypatch, consumer, *, committed, stamps, partitions=16):
    """A consumer whose `perform_seek` can be called; the requests for earliest offsets (always 5)."""
    asked = []

    async def nothing(*_):
        return None

    async def earliest(*tps):
        asked.append(tps)
        return dict.fromkeys(tps, 5)

    monkeypatch.setattr(driver.Consumer, "perform_seek", nothing)
    consumer.counts = Counter()
    consumer.positions = Positions(consumer.counts, lambda: None)
    consumer.app = SimpleNamespace(block_topics={TOPIC}, stamps=stamps)
    consumer._committed_offset = committed
    consumer._seek = nothing
    consumer.earliest_offsets = earliest
    consumer.assignment = lambda: {TP(TOPIC, p) for p in range(partitions)} | {TP("changelog", 0)}
    return asked


def sought(monkeypatch, **world):
    """Positions after `perform_seek`, and how often Kafka was asked for earliest offsets."""
    consumer = Consumer.__new__(Consumer)
    asked = prepare(monkeypatch, consumer, **world)
    asyncio.run(consumer.perform_seek())
    return consumer.positions.expected, asked


def test_earliest_offsets_are_asked_for_in_one_call_however_many_partitions_have_none(monkeypatch):
    """One by one they take a second each, Faust gives up after 40 s, and the worker stands still for ever."""
    expected, asked = sought(monkeypatch, committed={TP(TOPIC, 3): 30}, stamps={})
    assert len(asked) == 1
    assert expected == {TP(TOPIC, p): 30 if p == 3 else 5 for p in range(16)}


def test_nothing_is_asked_where_every_position_is_known(monkeypatch):
    expected, asked = sought(monkeypatch, committed={TP(TOPIC, 0): 30}, stamps={TP(TOPIC, 1): 7}, partitions=2)
    assert not asked
    assert expected == {TP(TOPIC, 0): 30, TP(TOPIC, 1): 7}


def test_a_state_that_is_behind_what_is_committed_says_where_to_go(monkeypatch):
    expected, _ = sought(monkeypatch, committed={TP(TOPIC, 0): 30}, stamps={TP(TOPIC, 0): 20}, partitions=1)
    assert expected == {TP(TOPIC, 0): 20}


def test_blocks_are_taken_only_when_the_flow_is_resumed_after_the_positions_are_known(monkeypatch):
    """Faust resumes it several times in a rebalance, and each time first empties the queues that blocks go through."""
    consumer, looked = Consumer.__new__(Consumer), []
    block, record = TP(TOPIC, 0), TP("changelog", 0)
    consumer.can_resume_flow, consumer.suspend_flow = asyncio.Event(), asyncio.Event()
    consumer._look_again = lambda: looked.append(consumer._takes(block))
    prepare(monkeypatch, consumer, committed={block: 30}, stamps={}, partitions=1)
    consumer.stop_flow()
    consumer.resume_flow()
    assert not consumer._takes(block)
    assert consumer._takes(record)
    asyncio.run(consumer.perform_seek())
    assert not consumer._takes(block)
    consumer.resume_flow()
    assert consumer._takes(block)
    consumer.stop_flow()
    assert not consumer._takes(block)
    assert looked == [False, True]
