"""Where the transport goes on after a rebalance: by the state, by what is committed, else from the earliest."""

import asyncio
from collections import Counter
from types import SimpleNamespace

from faust.transport.drivers import aiokafka as driver
from faust.types.tuples import TP

from app.stream.positions import Positions
from app.stream.transport import Consumer

TOPIC = "metrics"


def sought(monkeypatch, *, committed, stamps, partitions=16):
    """Positions after `perform_seek`, and how often Kafka was asked for earliest offsets (always 5)."""
    asked = []

    async def nothing(*_):
        return None

    async def earliest(*tps):
        asked.append(tps)
        return dict.fromkeys(tps, 5)

    monkeypatch.setattr(driver.Consumer, "perform_seek", nothing)
    consumer = Consumer.__new__(Consumer)
    consumer.counts = Counter()
    consumer.positions = Positions(consumer.counts, lambda: None)
    consumer.app = SimpleNamespace(block_topics={TOPIC}, stamps=stamps)
    consumer._committed_offset = committed
    consumer._seek = nothing
    consumer.earliest_offsets = earliest
    consumer.assignment = lambda: {TP(TOPIC, p) for p in range(partitions)} | {TP("changelog", 0)}
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
