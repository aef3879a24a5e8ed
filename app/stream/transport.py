"""Faust's Kafka transport, cured: whole fetches instead of records, exact positions, no early commit.

Registered as the scheme `headrace://` under the entry point `faust.transports`; the three apps
use it, nothing else does. A topic named in `app.block_topics` gives its agent one event per
fetch, whose value is a `Fetch` of `Block`s, one a partition; every other topic (changelogs) comes
record by record, as upstream does it.

What is cured, each by overriding, none by patching a module (Faust 0.15.3, aiokafka 0.14.0):

- *The live set.* Upstream hands the set of active partitions, not a copy, to the fetcher, which
  reads an emptied one as "all": records of paused partitions are taken and dropped.
- *Gaps.* Upstream books a jump in offsets as processed. A block here is an exact interval
  `[start, end)`; one that does not start where the last ended is never delivered.
- *Acknowledgements.* Upstream acknowledges an event whose agent raised or was cancelled, in a
  compiled iterator that inlines `Consumer.ack`. Here only `block.done` counts, in order, per
  partition.
- *Back-pressure.* Upstream's one queue stalls every topic of the worker. Here a partition with
  enough under way is left out of the fetch until one of its blocks is done, and only that one.
- *Revocation.* Upstream forgets what was acknowledged before it commits it. Here: stop, wait for
  the blocks in hand, let the app write its state (`app.before_revoke`), commit, then forget.
- *Zombies.* Upstream writes on when it wakes up after its session. Here no write leaves before
  the coordinator has answered, and none for a block that was taken back.
- *The position comes from the state.* Where the app gives one (`app.stamps`), the consumer seeks
  there, whatever the group committed, and never commits past `hold`.
- *Uncommitted partitions* are rewound to their earliest offset, which upstream leaves to chance.
- *Aborted transactions* are never read (`read_committed`), and their offsets are committed.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final

from faust.exceptions import ImproperlyConfigured
from faust.transport.drivers import aiokafka as driver
from faust.types.tuples import TP, ConsumerMessage

from app.stream.blocks import IN_HAND, Block, Fetch
from app.stream.fetching import ConsumerThread
from app.stream.goodbye import prompt
from app.stream.heart import Heart
from app.stream.lanes import Lanes
from app.stream.positions import Positions

STOP_WAIT_S: Final = 5.0
"""Longest wait for blocks in hand at shutdown (a router's may wait for RabbitMQ); what is not done is read again."""


class Consumer(driver.Consumer):
    """The consumer that the apps see."""

    _thread: ConsumerThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        refuse_modes(self.app)
        self.counts: Counter[str] = Counter()
        self.positions = Positions(self.counts, self._look_again)
        self.heart = Heart(self.app.conf.broker_session_timeout)
        self.lanes = Lanes(self.positions.finished)
        self.assigned_once = False
        """Whether the coordinator has ever given us partitions, or none."""
        self._room = asyncio.Event()
        self._sought = self._reading = False

    def told(self) -> dict[str, int]:
        """What the transport met so far, by name."""
        gather = self._thread.gather
        return {**self.counts, "fences": self.heart.fences, "gathers": gather.times if gather else 0}

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Upstream's look at what stands still knows one partition an event; `app.stream.watchdog` looks instead."""

    # ---- delivery

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self._stopped.is_set() or fetcher._stopped.is_set()):  # noqa: SLF001
                await self._drain_once()
                await asyncio.sleep(0)
        except self.consumer_stopped_errors:
            if not self.transport.app.should_stop:
                raise
        except asyncio.CancelledError:
            if not self.transport.app.should_stop:
                raise

    async def _drain_once(self) -> None:
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        self._thread.woken = False  # before looking at what is full: what is done from here on wakes the fetch
        self._room.clear()
        active = frozenset(self._get_active_partitions())
        wanted = frozenset(tp for tp in active if self._takes(tp))
        if not wanted:
            await self._wait_for_room(1.0 if active else 0.1)
            return
        fetched = await self._thread.getmany(wanted, timeout=1.0)
        generation = self.app.consumer_generation_id
        blocks: dict[str, list[Block]] = {}
        for tp, found in fetched.items():
            if not self._current(generation):
                self.counts["dropped"] += 1  # whoever resumes the flow seeks first
                return
            if isinstance(found, Block):
                block = await self._continuous(found)
                if block is not None:
                    blocks.setdefault(tp.topic, []).append(block)
            else:
                await self._deliver_records(TP(tp.topic, tp.partition), found)
        for topic, parts in blocks.items():
            await self._deliver_blocks(topic, parts, generation)

    def _takes(self, tp: TP) -> bool:
        """Whether what arrives of a partition may be handed on."""
        return tp.topic not in self.app.block_topics or (self._reading and not self.positions.full(tp))

    def stop_flow(self) -> None:
        """Hand nothing on until the positions are known anew."""
        self._sought = self._reading = False
        super().stop_flow()

    def resume_flow(self) -> None:
        """Go on; with blocks once the positions are known. Faust empties its queues just before it calls this for
        the last time in a rebalance: a block handed on between the two would never reach its lane.
        """
        self._reading = self._sought
        super().resume_flow()
        self._look_again()

    async def _wait_for_room(self, longest_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._room.wait(), longest_s)

    def _look_again(self) -> None:
        """Have the fetch under way come back, since other partitions may be asked for now."""
        self._room.set()
        self._thread.wake()

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Fetch from them at once; upstream first waits for the fetch under way, a second."""
        super().resume_partitions(tps)
        self._look_again()

    def _current(self, generation: int) -> bool:
        return bool(self.flow_active and generation == self.app.consumer_generation_id)

    async def _continuous(self, block: Block) -> Block | None:
        """The block from where the last one ended; None if it cannot be delivered."""
        tp = block.tp
        expected = self.positions.expected.get(tp)
        if expected is None or tp in self._paused_partitions:
            self.counts["unexpected"] += 1
            await self._seek(tp, block.start if expected is None else expected)
            return None
        if block.start < expected and (await self.highwaters(tp))[tp] < expected:
            await self.begin_again({tp.topic})
            return None
        if block.end <= expected:
            self.counts["repeated"] += 1
            return None
        if block.start > expected:
            earliest = next(iter((await self.earliest_offsets(tp)).values()))
            if earliest <= expected:
                self.counts["sought_back"] += 1
                await self._seek(tp, expected)
                return None
            self.counts["lost_by_retention"] += earliest - expected
            self.log.error(
                "%s[%s]: offsets %s to %s are gone by retention before they were read; going on at %s.",
                tp.topic, tp.partition, expected, earliest - 1, block.start,
            )  # fmt: skip
            self.positions.expected[tp] = block.start
            return block
        return block if block.start == expected else block.since(expected)

    async def begin_again(self, topics: set[str]) -> None:
        """Topics were made anew while they were read: what is on them was never read, whatever the positions say."""
        tps = [tp for tp in self.assignment() if tp.topic in topics]
        earliest = await self.earliest_offsets(*tps)
        for tp in tps:
            self._committed_offset[tp] = None  # or the lower position would not be committed
            self.positions.start(tp, earliest[tp])
        self.counts["made_anew"] += len(tps)
        self.log.warning("made anew, and read from the beginning: %s", ", ".join(sorted(topics)))
        for tp in tps:
            await self._seek(tp, earliest[tp])

    async def _deliver_records(self, tp: TP, records: list[Any]) -> None:
        for record in records:
            if not self.flow_active:
                return
            read = self._read_offset[tp]
            if read is None or record.offset >= read:
                await self.wait_first(self.callback(self._to_message(tp, record)), self.suspend_flow.wait())
                self._read_offset[tp] = record.offset

    async def _deliver_blocks(self, topic: str, blocks: list[Block], generation: int) -> None:
        if not self._current(generation):
            self.counts["dropped"] += len(blocks)
            return
        # looked at again: another may have been sought to while Kafka was asked about the last one
        blocks = [block for block in blocks if self.positions.deliver(block)]
        if not blocks:
            return
        for block in blocks:
            self._read_offset[block.tp] = block.end - 1
            self.app.monitor.track_tp_end_offset(block.tp, self.highwater(block.tp))
        self.counts["events"] += 1
        self.counts["blocks"] += len(blocks)
        first = blocks[0].tp
        stamp = blocks[0].records[-1].timestamp if blocks[0].records else 0
        fetch = Fetch(blocks)
        message = ConsumerMessage(
            topic, first.partition, blocks[0].end - 1, stamp / 1000.0, 0, [], None, fetch, None, 0, 0, first,
            generation_id=generation,
        )  # fmt: skip
        handed_on = self.callback(message)
        if self._way_is_free():
            await handed_on
        else:
            await self.wait_first(handed_on, self.suspend_flow.wait())

    def _way_is_free(self) -> bool:
        """Whether an event reaches its agent at once: its channel has room for all that can be under way. Otherwise
        it must not be waited for when the flow is suspended, since changelogs are read by the same routine.
        """
        return self.app.flow_control.is_active() and not self.app.topics._tp_to_callback_lock.locked()  # noqa: SLF001

    # ---- acknowledgements and commits

    def _new_offset(self, tp: TP) -> int | None:
        if tp.topic not in self.app.block_topics:
            return super()._new_offset(tp)  # type: ignore[no-any-return]
        self._acked[tp].clear()
        self._acked_index[tp].clear()
        return self.positions.committable(tp, held=self.app.commit_follows_state)

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        yield from {
            *super()._filter_tps_with_pending_acks(topics),
            *(tp for tp in self.positions.done if topics is None or tp in topics or tp.topic in topics),
        }

    # ---- rebalance and shutdown

    async def wait_empty(self) -> None:
        """Wait for the blocks in hand, but not for ever; write the state; commit."""
        await self.lanes.settle(STOP_WAIT_S)
        await self._write_state(list(self.positions.done))
        await self.commit()
        self.lanes.end()

    async def _write_state(self, tps: Iterable[TP]) -> None:
        before_revoke = self.app.before_revoke
        if before_revoke is not None and self.app.producer.started and self.heart.fresh:
            await before_revoke({tp for tp in tps if tp.topic in self.app.block_topics})

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Stop, settle, write the state, commit; then forget, which upstream does first."""
        app = self.app
        if not app.should_stop and self.assignment():
            self.stop_flow()
            app.flow_control.suspend()
            self.pause_partitions(self.assignment())
            app.flow_control.clear()
            if not self.heart.fresh:
                self.positions.drop_open()  # somebody else has them by now: nothing in hand may be written
            await self.lanes.settle(app.conf.broker_rebalance_timeout * 0.5)
            await self._write_state(revoked)
            await self.commit()
        self.positions.forget()
        await super().on_partitions_revoked(revoked)

    async def perform_seek(self) -> None:
        """Go to the committed offsets, the earliest where there is none, or to where the state says."""
        self._sought = self._reading = False
        self.positions.drop_open()
        await super().perform_seek()
        stamps, committed_to = self.app.stamps, self._committed_offset
        ours = [tp for tp in self.assignment() if tp.topic in self.app.block_topics]
        # asked for at once: one by one they take a second each, and Faust gives up, for good, after 40
        unknown = [tp for tp in ours if stamps.get(tp) is None and not committed_to.get(tp)]
        earliest = await self.earliest_offsets(*unknown) if unknown else {}
        for tp in ours:
            committed = committed_to.get(tp)
            position = stamps.get(tp)
            if position is None:
                position = committed or earliest[tp]
            elif committed and position < committed:
                self.counts["state_behind_commit"] += 1
                self._committed_offset[tp] = position
            if position != committed:
                await self._seek(tp, position)
            self.positions.start(tp, position)
        self._sought = self.assigned_once = True


class Producer(driver.Producer):
    """Faust's producer, with acknowledgement by all replicas, no repeats on retries, and no writes by a zombie."""

    async def send(self, *args: Any, **kwargs: Any) -> Any:
        """Send when it is right to; raises Fenced when it is no more."""
        await self.app.consumer.heart.fence()
        block = IN_HAND.get()
        if block is not None:
            block.moves += 1
        return await super().send(*args, **kwargs)

    def _new_producer(self, transactional_id: str | None = None) -> Any:
        producer = super()._new_producer(transactional_id)
        prompt(producer.client)
        return producer

    def _settings_extra(self) -> dict[str, Any]:
        return {"acks": "all", "enable_idempotence": True}


class Transport(driver.Transport):
    """The scheme `headrace://`."""

    Consumer = Consumer
    Producer = Producer


def refuse_modes(app: Any) -> None:
    """Raise, with what to do instead, where an app is set up in a way that the cures do not cover."""
    refused = {
        "client-only mode has no group, so nothing could be committed": app.client_only,
        "exactly_once is Faust's, and does not hold; what is written here is exact without it": app.in_transaction,
        "standby replicas of a table in memory gain nothing; set table_standby_replicas=0": (
            app.conf.table_standby_replicas > 0
        ),
    }
    for why, found in refused.items():
        if found:
            raise ImproperlyConfigured(f"app {app.conf.id} cannot use the transport headrace://: {why}")
