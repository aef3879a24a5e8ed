"""What the transport delivers, takes for done and commits, by the positions alone: no broker, no Faust app."""

import asyncio
from collections import Counter, defaultdict
from types import SimpleNamespace

import pytest
from faust.types.tuples import TP

from app.stream import positions
from app.stream.blocks import Block
from app.stream.positions import MAX_OPEN, Positions
from app.stream.transport import Consumer

TP0 = TP("metrics", 0)


def record(offset):
    return SimpleNamespace(offset=offset)


def block(start, end):
    return Block(TP0, start, end, [record(offset) for offset in range(start, end)])


class World:
    """A consumer that stands at `expected`, and a partition that begins at `low` and ends at `high`."""

    def __init__(self, expected=10, low=0, high=100, follows_state=False):
        self.sought, self.woken = [], 0
        consumer = self.consumer = Consumer.__new__(Consumer)
        consumer.counts = Counter()
        self.positions = consumer.positions = Positions(consumer.counts, self.look_again)
        self.positions.start(TP0, expected)
        consumer._paused_partitions, consumer._acked, consumer._acked_index = set(), defaultdict(list), defaultdict(set)
        consumer._committed_offset = {TP0: expected}
        consumer.app = SimpleNamespace(block_topics={"metrics"}, commit_follows_state=follows_state)
        consumer.log = SimpleNamespace(error=lambda *_: None, warning=lambda *_: None)
        consumer.assignment = lambda: {TP0}
        self.low, self.high = low, high
        consumer.earliest_offsets = self.at("low")
        consumer.highwaters = self.at("high")
        consumer._seek = self.seek

    def at(self, name):
        async def offsets(*tps):
            return {tp: getattr(self, name) for tp in tps}

        return offsets

    async def seek(self, tp, position):
        self.sought.append(position)

    def look_again(self):
        self.woken += 1

    def continuous(self, start, end):
        found = asyncio.run(self.consumer._continuous(block(start, end)))
        return found and (found.start, found.end, [r.offset for r in found.records])


def test_a_block_that_goes_on_where_the_last_one_ended_is_delivered():
    world = World(expected=10)
    assert world.continuous(10, 13) == (10, 13, [10, 11, 12])
    assert not world.sought


def test_a_block_that_jumps_is_never_delivered_and_the_hole_is_read():
    world = World(expected=10)
    assert world.continuous(15, 20) is None
    assert world.sought == [10]
    assert world.consumer.counts == {"sought_back": 1}


def test_what_was_delivered_before_is_cut_off():
    world = World(expected=10)
    assert world.continuous(5, 12) == (10, 12, [10, 11])
    assert world.continuous(5, 10) is None
    assert world.consumer.counts == {"repeated": 1}


def test_what_is_gone_by_retention_is_counted_and_what_is_left_delivered():
    world = World(expected=10, low=15)
    assert world.continuous(15, 17) == (15, 17, [15, 16])
    assert world.consumer.counts == {"lost_by_retention": 5}


def test_a_topic_made_anew_is_read_from_its_beginning_and_its_lower_position_committed():
    world = World(expected=45, high=7)
    (in_hand,) = opened(world, block(45, 50))
    assert world.continuous(0, 7) is None
    assert world.sought == [0]
    assert in_hand.dropped
    assert world.continuous(0, 7) == (0, 7, list(range(7)))
    assert world.consumer._should_commit(TP0, world.consumer._new_offset(TP0))


def test_records_of_a_partition_that_was_paused_meanwhile_are_read_again():
    world = World(expected=10)
    world.consumer._paused_partitions.add(TP0)
    assert world.continuous(10, 13) is None
    assert world.sought == [10]


def opened(world, *blocks):
    assert all(world.positions.deliver(one) for one in blocks)
    return blocks


def finish(world, one):
    one.done = True
    world.positions.finished(one)


def test_only_what_is_done_from_the_beginning_on_is_committed():
    world = World(expected=0)
    first, second, third = opened(world, block(0, 10), block(10, 20), block(20, 30))
    finish(world, second)
    assert world.consumer._new_offset(TP0) == 0
    finish(world, first)
    assert world.consumer._new_offset(TP0) == 20
    world.positions.finished(third)  # given up, not done
    assert world.consumer._new_offset(TP0) == 20


def test_a_block_of_a_partition_that_was_moved_meanwhile_is_not_delivered():
    world = World(expected=10)
    world.positions.start(TP0, 0)
    assert not world.positions.deliver(block(10, 20))
    assert world.positions.expected[TP0] == 0


def test_an_acknowledgement_of_fausts_counts_for_nothing():
    world = World(expected=0)
    opened(world, block(0, 10))
    world.consumer._acked[TP0] += range(10)
    assert world.consumer._new_offset(TP0) == 0
    assert not world.consumer._acked[TP0]


@pytest.mark.parametrize(("hold", "committed"), [(None, None), (4, 4), (10, 10), (99, 10)])
def test_the_commit_never_passes_the_written_state(hold, committed):
    world = World(expected=0, follows_state=True)
    (one,) = opened(world, block(0, 10))
    finish(world, one)
    if hold is not None:
        world.positions.hold[TP0] = hold
    assert world.consumer._new_offset(TP0) == committed


def test_a_full_partition_has_the_fetch_come_back_when_there_is_room_and_no_sooner():
    world = World(expected=0)
    blocks = opened(world, *(block(n * 10, n * 10 + 10) for n in range(MAX_OPEN)))
    assert world.positions.full(TP0)
    assert not world.positions.full(TP("metrics", 1))
    finish(world, blocks[1])
    assert world.woken == 0
    finish(world, blocks[0])
    assert world.woken == 1
    assert not world.positions.full(TP0)


def held(world, *blocks):
    for one in blocks:
        one.held = True
        world.positions.finished(one)


def test_behind_a_block_that_is_held_back_others_are_done_and_nothing_is_committed():
    world = World(expected=0)
    first, second, third = opened(world, block(0, 10), block(10, 20), block(20, 30))
    held(world, first)
    assert world.positions.turn_of(second)
    finish(world, second)
    held(world, third)
    assert world.positions.done[TP0] == 0
    finish(world, first)
    assert world.positions.done[TP0] == 20
    finish(world, third)
    assert world.positions.done[TP0] == 30


def test_what_is_done_behind_a_held_block_takes_no_room_until_the_partition_is_too_far_ahead(monkeypatch):
    monkeypatch.setattr(positions, "MAX_AHEAD", 100)
    world = World(expected=0)
    [first] = opened(world, block(0, 10))
    held(world, first)
    for n in range(1, 9):
        [one] = opened(world, block(n * 10, n * 10 + 10))
        assert not world.positions.full(TP0)
        finish(world, one)
    assert len(world.positions._open[TP0]) == 2
    [last] = opened(world, block(90, 100))
    assert world.positions.full(TP0)
    assert world.woken == 0
    finish(world, first)
    assert world.woken == 1
    finish(world, last)
    assert world.positions.done[TP0] == 100


def test_a_lane_takes_only_what_is_open_and_its_turn():
    world = World(expected=0)
    first, second = opened(world, block(0, 10), block(10, 20))
    assert world.positions.turn_of(first)
    with pytest.raises(RuntimeError, match="before an earlier block"):
        world.positions.turn_of(second)
    world.positions.forget()
    assert not world.positions.turn_of(first)
    assert first.dropped
    assert second.dropped


def test_what_comes_behind_a_block_that_was_given_up_is_not_handled_either():
    world = World(expected=0)
    first, given_up, behind = opened(world, block(0, 10), block(10, 20), block(20, 30))
    finish(world, first)
    given_up.dropped = True
    assert not world.positions.turn_of(behind)
    assert world.positions.done[TP0] == 10
