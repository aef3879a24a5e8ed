"""The auto-scaler: the journal in, decisions out. The only app with state.

The order of effects is in `handle` and nowhere else: decode → step → decisions acknowledged →
state acknowledged → commit. A crash anywhere reads the tail again and decides the same, under the
same ids. It never reads a clock, another topic or the environment to decide.

`faust -A app.autoscaler worker -l info` runs it alone.
"""

from functools import cache
from typing import Any

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
from app.stream.topics import DECISIONS, JOURNAL
from tasks.contract import kind_of

log = structlog.get_logger()


def build(config: Settings) -> faust.App:
    """The Faust app `auto-scaler`; ends the process with a sentence if the topics are not right."""
    app = build_app("auto-scaler", [JOURNAL], config, state=True)
    checkpoints = Checkpoints(app, journal_partitions(config), config)

    async def handle(block: Block) -> None:
        partition = block.tp.partition
        checkpoints.in_hand.add(partition)
        checkpoints.states[partition], decided = advance(checkpoints.state_for(block), block)
        await _send(app, partition, decided)
        await app.consumer.heart.fence()  # a rebalance may have taken the block back, and its state with it
        checkpoints.in_hand.discard(partition)
        await checkpoints.write_due(partition)
        metrics.RECORDS.inc(len(block.records))

    blocks(app, JOURNAL, handle)
    return app


def advance(state: State, block: Block) -> tuple[State, list[Decision]]:
    """The state after a block and what was decided on the way; raises if a record is no fact."""
    decided: list[Decision] = []
    partition = block.tp.partition
    for record in block.records:
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
