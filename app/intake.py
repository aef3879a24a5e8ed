"""The intake: the users' topics in, the journal out. No state.

It turns records of any format into facts, in one order per journal partition. The order of
effects is in `handle`: read → write facts and quarantine → acknowledged → commit. Facts of one
source partition are written in source order, one unacknowledged write a journal partition, so
after a crash facts can come again but never with a hole; the auto-scaler's marks skip repeats.
A write that fails ends the process before anything is committed. Its only clock is Kafka's, from
the answers to its writes: samples ahead of it are refused, and ticks say up to when was read by it.

`faust -A app.intake worker -l info` runs it alone.
"""

import asyncio
import re
from collections.abc import Mapping
from functools import cache, partial
from typing import Any

import faust
import structlog
from faust.types.tuples import TP

from app import metrics
from app.policy.facts import Fact, Tick, encode
from app.settings import Settings
from app.stream.blocks import Block
from app.stream.build import blocks, configured, journal_partitions
from app.stream.build import build as build_app
from app.stream.clock import Clock
from app.stream.ending import Halt, guarded
from app.stream.progress import Progress
from app.stream.topics import CONTROL, JOURNAL, OUTCOMES, QUARANTINE, topic_ids
from app.wire.quarantine import Quarantined
from app.wire.read import Kind, read
from app.wire.rules import Raw, Rules

log = structlog.get_logger()


class Intake:
    """What the agents share: the rules, the topics' ids, the writes."""

    def __init__(self, app: faust.App, config: Settings) -> None:
        self.app = app
        self.config = config
        self.partitions = journal_partitions(config)
        self.kinds: Mapping[str, Kind] = {**config.sources, CONTROL: "control", OUTCOMES: "outcomes"}  # type: ignore[dict-item]
        self.pattern = re.compile(config.service_pattern)
        self.ids: dict[str, str] = {}
        self.seen: dict[TP, int] = {}
        self.clock = Clock()
        self.progress = Progress(config, app.conf.id, self.kinds, self.clock.now_ms)

    async def handle(self, kind: Kind, block: Block) -> None:
        """One block of one source partition; others are handled meanwhile."""
        if block.records:
            await self._know_id(block)
            if not self.clock.heard:
                await self._tick(0, 0)  # it says nothing, but the answer tells the time
            await self._block(kind, block)

    async def assigned(self, *_: Any, **__: Any) -> None:
        """Partitions came, maybe of topics made anew: ask for the ids again."""
        self.ids.clear()

    async def watch(self) -> None:
        """A topic with another id was made anew, also where its positions look as if it went on."""
        ids = await asyncio.to_thread(topic_ids, self.config, [*self.ids]) if self.ids else {}
        anew = {topic for topic, one in ids.items() if self.ids.get(topic, one) != one}
        if anew:
            await self.app.consumer.begin_again(anew)  # and the positions that fall have the new ids asked for

    async def _know_id(self, block: Block) -> None:
        """A position that falls means a topic made anew: ask for its id again."""
        if block.tp.topic not in self.ids or block.start < self.seen.get(block.tp, 0):
            found = await asyncio.to_thread(topic_ids, self.config, [block.tp.topic])
            if not found:
                raise Halt(f"Kafka does not tell the id of topic {block.tp.topic}, so its repeats could not be known")
            self.ids |= found
        self.seen[block.tp] = block.end

    async def _block(self, kind: Kind, block: Block) -> None:
        tp = block.tp
        topic_id = self.ids[tp.topic]
        raws = [Raw(tp.topic, topic_id, tp.partition, r.offset, r.timestamp, r.key, r.value) for r in block.records]
        future_ms, now_ms = int(self.config.future_s * 1000), self.clock.now_ms()
        found = read(kind, raws, Rules(self.partitions, self.pattern, future_ms, now_ms))
        await asyncio.gather(
            *(self._facts(partition, facts) for partition, facts in found.facts.items()),
            self._quarantine(tp.topic, found.quarantined),
        )
        metrics.SAMPLES.labels(tp.topic).inc(found.samples)

    async def _facts(self, partition: int, facts: list[Fact]) -> None:
        for fact in facts:
            await self._journal(encode(fact), partition)
            metrics.FACTS.labels(str(fact.__struct_config__.tag)).inc()

    async def _quarantine(self, topic: str, quarantined: list[Quarantined]) -> None:
        # all at once: a flood of bad records has no order to keep, and must not hold up the good ones
        await asyncio.gather(*(self._write(QUARANTINE, one.encode(), 0) for one in quarantined))
        for one in quarantined:
            metrics.QUARANTINED.labels(topic).inc()
            log.warning("quarantined", topic=topic, partition=one.partition, offset=one.offset, why=one.reason)

    async def _journal(self, value: bytes, partition: int) -> None:
        self.clock.hear((await self._write(JOURNAL, value, partition)).timestamp)

    async def _write(self, topic: str, value: bytes, partition: int) -> Any:
        return await (await self.app.producer.send(topic, None, value, partition, None, None))

    async def tick(self) -> None:
        """Say to every partition that time has passed; only the owner of the control topic does."""
        if TP(CONTROL, 0) not in self.app.consumer.assignment():
            return
        read_until_ms = await asyncio.to_thread(self.progress.look) if self.clock.heard else 0
        metrics.READ_UNTIL.set(read_until_ms / 1000)
        await asyncio.gather(*(self._tick(read_until_ms, partition) for partition in range(self.partitions)))

    async def _tick(self, read_until_ms: int, partition: int) -> None:
        await self._journal(encode(Tick(read_until_ms)), partition)


def build(config: Settings) -> faust.App:
    """The Faust app `intake`; ends the process with a sentence if the topics are not right."""
    topics = [*config.sources, CONTROL, OUTCOMES]
    app = build_app("intake", topics, config)
    intake = Intake(app, config)
    for topic in topics:
        blocks(app, topic, partial(intake.handle, intake.kinds[topic]))

    async def tick() -> None:
        if app.consumer.flow_active and not app.rebalancing:
            await guarded(intake.tick)

    async def watch() -> None:
        if app.consumer.flow_active and not app.rebalancing:
            await guarded(intake.watch)

    app.timer(interval=1.0)(tick)
    app.timer(interval=5.0)(watch)
    app.on_partitions_assigned.connect(intake.assigned)
    return app


@cache
def faust_app() -> faust.App:
    """The app with the settings of this process."""
    return build(configured())


def __getattr__(name: str) -> Any:
    if name == "app":
        return faust_app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
