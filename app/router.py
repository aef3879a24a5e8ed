"""The router: decisions in, Celery tasks and plain events out. No state.

The order of effects is in `handle`: decode → publish → confirmed by RabbitMQ → commit. It judges
nothing: what is on the decisions topic with an action or an event is sent, expired or not, and nothing
else is. While RabbitMQ is away the partition stands still; lag is the alarm. A kind whose queue is full
is held back, up to a limit, and nothing is committed past the oldest of it; the other kinds go on.

`faust -A app.router worker -l info` runs it alone.
"""

import sys
from collections.abc import Awaitable
from functools import cache
from typing import Any

import faust
import msgspec
import structlog
from mode import Service

from app.policy import decision as decisions
from app.queue.connection import refusal
from app.queue.message import Outgoing, outgoing
from app.queue.publisher import Publisher
from app.settings import Settings
from app.stream.blocks import Block
from app.stream.build import blocks, configured, journal_partitions
from app.stream.build import build as build_app
from app.stream.topics import DECISIONS

log = structlog.get_logger()


def build(config: Settings) -> faust.App:
    """The Faust app `router`; ends the process with a sentence if the topics are not right or RabbitMQ refuses us."""
    journal_partitions(config)
    refused = refusal(config.rabbitmq_url)  # away, it is waited for; with a wrong password that would be for ever
    if refused:
        sys.exit(f"headrace: {refused}")
    app = build_app("router", [DECISIONS], config)
    publisher = Publisher(config.rabbitmq_url)
    app.waits_for = lambda: publisher.waits_for

    async def handle(block: Block) -> Awaitable[None] | None:
        return await publisher.offer([message for record in block.records for message in to_send(record.value)])

    class Publishing(Service):
        """Starts and stops the publisher with the app."""

        async def on_start(self) -> None:
            publisher.start()

        async def on_stop(self) -> None:
            publisher.stop()

    app.service(Publishing)
    blocks(app, DECISIONS, handle)
    return app


def to_send(raw: bytes | None) -> list[Outgoing]:
    """What to publish for one record of the decisions topic; nothing for refusals and for policies on trial."""
    try:
        decision = decisions.decode(raw or b"")
    except msgspec.MsgspecError as error:
        log.error("not_a_decision", why=str(error), value=(raw or b"")[:200])
        return []
    return outgoing(decision)


@cache
def faust_app() -> faust.App:
    """The app with the settings of this process."""
    return build(configured())


def __getattr__(name: str) -> Any:
    if name == "app":
        return faust_app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
