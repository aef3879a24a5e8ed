"""The auto-scaler: the journal in, decisions out. The only app with state.

The order of effects is in `handle` and nowhere else: decode → step → decisions acknowledged →
state acknowledged → commit. A crash anywhere reads the tail again and decides the same, under the
same ids. It never reads a clock, another topic or the environment to decide.

`faust -A app.autoscaler worker -l info` runs it alone.
"""

import asyncio
from functools import cache
from time import monotonic
from typing import Any, Final

import faust
import structlog

from app import metrics
from app.policy import decision as decisions
from app.policy.decision import Decision
from app.policy.facts import Record, decode
from app.policy.state import State
from app.policy.step import step
from app.settings import Settings
from app.stream.blocks import Block
from app.stream.build import blocks, configured, journal_partitions
from app.stream.build import build as build_app
from app.stream.checkpoint import Checkpoints
from app.stream.heart import Heart
from app.stream.topics import DECISIONS, JOURNAL
from tasks.contract import kind_of

log = structlog.get_logger()

TURN_S: Final = 0.05
"""After so much work on a block the loop is left to others: acknowledgements, and the other partitions."""


def build(config: Settings) -> faust.App:
    """The Faust app `auto-scaler`; ends the process with a sentence if the topics are not right."""
    app = build_app("auto-scaler", [JOURNAL], config, state=True)
    checkpoints = Checkpoints(app, journal_partitions(config), config)

    async def handle(block: Block) -> None:
        partition = block.tp.partition
        checkpoints.in_hand.add(partition)
        checkpoints.states[partition], decided = await advance(checkpoints.state_for(block), block, app.consumer.heart)
        await _send(app, partition, decided)
        await app.consumer.heart.fence()  # a rebalance may have taken the block back, and its state with it
        checkpoints.in_hand.discard(partition)
        await checkpoints.write_due(partition)
        metrics.RECORDS.inc(len(block.records))

    blocks(app, JOURNAL, handle)
    return app


async def advance(state: State, block: Block, heart: Heart) -> tuple[State, list[Decision]]:
    """The state after a block and what was decided on the way; raises if a record is no fact.

    A long one lets the others of this process have their turn now and then, and the watchdog see that it moves. It
    raises Fenced if it was taken back meanwhile.
    """
    decided: list[Decision] = []
    partition, since = block.tp.partition, monotonic()
    for record in block.records:
        if monotonic() - since > TURN_S:
            block.moves += 1
            await asyncio.sleep(0)
            await heart.fence()
            since = monotonic()
        fact = decode(record.value)
        state, more = step(state, Record(partition, record.offset, record.timestamp, fact))
        decided += more
    state.next_offset = block.end
    return state, decided


async def _send(app: faust.App, partition: int, decided: list[Decision]) -> None:
    """Write decisions to their topic, in order, and wait until each is acknowledged."""
    sent = [
        await app.producer.send(DECISIONS, one.service.encode(), decisions.encode(one), partition, None, None)
        for one in decided
    ]
    for one, acknowledged in zip(decided, sent, strict=True):
        await acknowledged
        action = kind_of(one.action).value if one.action else "none"
        metrics.DECISIONS.labels(one.reason.value, action).inc()
        log.info(
            "decision", id=one.id, service=one.service, policy=one.policy, reason=one.reason.value, action=action,
            shadow=one.shadow,
        )  # fmt: skip


@cache
def faust_app() -> faust.App:
    """The app with the settings of this process."""
    return build(configured())


def __getattr__(name: str) -> Any:
    if name == "app":
        return faust_app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
