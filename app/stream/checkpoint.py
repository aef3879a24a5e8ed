"""The auto-scaler's state: a Faust table with one value per journal partition, the next offset inside.

Used by `app.autoscaler` only. Three rules make it exact whatever is killed, frozen or moved:

1. the committed journal offset never passes what the written state contains (`positions.hold`);
2. the position to read from comes from the state, whatever the group committed (`app.stamps`);
3. the state takes exactly the block that starts at its next offset.
"""

from typing import Any, Final

import faust
import structlog
from faust.types.tuples import TP

from app import metrics
from app.policy.state import State, empty, pack, unpack
from app.settings import Settings
from app.stream.blocks import Block
from app.stream.ending import Halt, guarded
from app.stream.topics import CHANGELOG, JOURNAL, SNAPSHOTS, STATE_BYTES

log = structlog.get_logger()

NEAR: Final = 0.7
"""Share of the largest state at which a partition says that it is too full."""


class Checkpoints:
    """The states of the partitions that this process owns, and when each was written."""

    def __init__(self, app: faust.App, partitions: int, settings: Settings) -> None:
        self._app = app
        self._table = app.Table("state", partitions=partitions, key_type=bytes, value_type=bytes)
        self._every_ms = settings.checkpoint_s * 1000
        self._snapshot_every_ms = settings.snapshot_s * 1000
        self.states: dict[int, State] = {}
        self.in_hand: set[int] = set()
        """Partitions whose newest decisions are not acknowledged yet: their state must not be written."""
        self._written: dict[int, tuple[int, int]] = {}  # partition → (next offset, journal time) when last written
        self._snapshots: dict[int, int] = {}
        app.before_revoke = self.write_all
        app.on_rebalance_complete.connect(self._recovered)

    async def _recovered(self, _app: Any, **_: Any) -> None:
        """Faust has read the changelog and has not sought yet: take the states, say where to go."""
        await guarded(self._take)

    async def _take(self) -> None:
        owned = [tp.partition for tp in self._app.consumer.assignment() if tp.topic == JOURNAL]
        self.states = {partition: self._unpacked(partition) for partition in owned}
        self.in_hand.clear()
        self._written = {partition: (state.next_offset, state.now_ms) for partition, state in self.states.items()}
        self._snapshots = {partition: self._snapshots.get(partition, 0) for partition in owned}
        self._app.stamps = {TP(JOURNAL, partition): state.next_offset for partition, state in self.states.items()}
        self._app.consumer.positions.hold.update(self._app.stamps)

    def _unpacked(self, partition: int) -> State:
        raw = self._table.data.get(_key(partition))
        return empty(partition) if raw is None else unpack(raw)

    def state_for(self, block: Block) -> State:
        """The state that takes this block next; raises if the block does not start where it stands."""
        state = self.states[block.tp.partition]
        if block.start != state.next_offset:
            raise Halt(
                f"{JOURNAL}[{block.tp.partition}] goes on at {block.start}, but the state stands at "
                f"{state.next_offset}: facts between are gone. Restore them, or begin anew: delete {JOURNAL}, "
                f"{SNAPSHOTS} and {CHANGELOG} and run `headrace topics init`"
            )
        return state

    async def write_due(self, partition: int) -> None:
        """Write the state of a partition if it is time, and a snapshot if it is time for that."""
        state = self.states[partition]
        _, at_ms = self._written[partition]
        spread = max(self._every_ms, _size_ms(self._last_size(partition)))
        if state.now_ms - at_ms >= spread:
            await self._write(partition, state)

    async def write_all(self, tps: set[TP]) -> None:
        """Write the states of partitions that are about to go, where anything has changed."""
        for tp in tps:
            state = self.states.get(tp.partition)
            if tp.partition in self.in_hand:
                continue  # what was written last is read again, and decides the same
            if state is not None and self._written[tp.partition][0] != state.next_offset:
                await self._write(tp.partition, state)

    async def _write(self, partition: int, state: State) -> None:
        raw = pack(state)
        metrics.STATE_BYTES.labels(partition).set(len(raw))
        _judge_size(partition, len(raw))
        await self._app.consumer.heart.fence()
        await self._table.send_changelog(partition, _key(partition), raw)
        self._table.data[_key(partition)] = raw
        metrics.CHECKPOINTS.inc()
        metrics.CHECKPOINTED.labels(partition).set(state.now_ms / 1000)
        metrics.LATE.labels(partition).set(state.late)
        self._written[partition] = (state.next_offset, state.now_ms)
        self._app.consumer.positions.hold[TP(JOURNAL, partition)] = state.next_offset
        if state.now_ms - self._snapshots[partition] >= self._snapshot_every_ms:
            sent = await self._app.producer.send(SNAPSHOTS, _key(partition), raw, partition, None, None)
            await sent
            metrics.SNAPSHOTS.inc()
            self._snapshots[partition] = state.now_ms

    def _last_size(self, partition: int) -> int:
        raw = self._table.data.get(_key(partition))
        return 0 if raw is None else len(raw)


def _judge_size(partition: int, size: int) -> None:
    """Say so long before a state is too large, and stop with a sentence when it is."""
    if size > STATE_BYTES:
        raise Halt(
            f"the state of {JOURNAL}[{partition}] has {size} bytes and may have {STATE_BYTES}: have the policies "
            "select fewer series, or send fewer services to this journal"
        )
    if size > STATE_BYTES * NEAR:
        log.warning("state_nearly_full", partition=partition, bytes=size, most=STATE_BYTES)


def _key(partition: int) -> bytes:
    return str(partition).encode()


def _size_ms(size: int) -> float:
    """Least milliseconds between two writes of a state of `size` bytes: at most 1 MB a second a partition."""
    return size / 1000
