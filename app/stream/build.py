"""How a Faust app of ours is built: one transport, checked topics, and an end that is an end.

Called by `app.intake`, `app.autoscaler` and `app.router`. Faust acknowledges events whose agent
raised, so no exception may leave an agent: `guarded` ends the process instead, before anything is
acknowledged. A supervisor starts it again and the fetch is read again.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Final

import faust
import structlog
import uvloop
from pydantic import ValidationError

from app import log as logs
from app import metrics
from app.settings import Settings, mistakes, settings
from app.stream.blocks import Fetch
from app.stream.topics import STATE_BYTES, TopicsError, partitions_of_journal

EXIT_BROKEN: Final = 70
"""Exit code of a process that must not go on (sysexits' EX_SOFTWARE)."""

FETCH_BYTES: Final = STATE_BYTES + 1_000_000

log = structlog.get_logger()

Handle = Callable[[Fetch], Awaitable[None]]


class Worker(faust.Worker):
    """A Faust worker without Faust's web server, which the command `worker` turns on: it listens on every
    address and shows the tables to anybody. Metrics have a port of their own.
    """

    def __init__(self, app: faust.App, *services: Any, **options: Any) -> None:
        app.conf.web_enabled = False
        super().__init__(app, *services, **options)


def build(name: str, topics: Iterable[str], settings: Settings, *, state: bool = False) -> faust.App:
    """A Faust app named `name` that gets `topics` as blocks; `state` holds commits back to its state."""
    datadir = settings.datadir / name / (settings.instance or "default")
    datadir.mkdir(parents=True, exist_ok=True)
    uvloop.install()  # before Faust asks for a loop
    app = faust.App(
        name,
        env_prefix="HEADRACE_FAUST_",  # Faust's BROKER_URL would override the address given here
        broker=f"headrace://{settings.bootstrap}",
        broker_credentials=_credentials(settings),
        datadir=datadir,
        store="memory://",
        Worker=Worker,
        web_enabled=False,  # for the apps beside the first, which no command turns it on for
        topic_allow_declare=False,  # topics are made by `headrace topics init`, with their settings
        topic_disable_leader=True,
        table_standby_replicas=0,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=f"{name}-{settings.instance}" if settings.instance else None,
        consumer_max_fetch_size=FETCH_BYTES,
        consumer_metadata_max_age_ms=5_000,  # else a topic missed at start is looked for after 5 minutes
        producer_max_request_size=FETCH_BYTES,
        producer_request_timeout=60.0,  # Faust's 20 minutes look like a hang
        producer_compression_type="lz4",
        broker_session_timeout=settings.session_s,
        broker_heartbeat_interval=settings.session_s / 5,
        broker_request_timeout=max(40.0, settings.session_s + 5),
        broker_rebalance_timeout=60.0,
        broker_max_poll_interval=6 * 3600.0,  # a router waits for RabbitMQ as long as it takes
        broker_commit_interval=1.0,
        logging_config=logs.config(settings),
        stream_wait_empty=True,
    )
    app.block_topics = frozenset(topics)
    app.commit_follows_state = state
    app.before_revoke = None
    app.stamps = {}
    return app


def fetches(app: faust.App, topic: str, handle: Handle) -> None:
    """Have `handle` called with each fetch of a topic; what it returns from is done for good."""
    channel = app.topic(
        topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw", maxsize=64
    )

    async def agent(stream: Any) -> None:
        async for event in _events(stream):
            fetch: Fetch = event.value
            try:
                if not await guarded(app.consumer.turn_of, fetch):
                    continue
                await guarded(handle, fetch)
            except asyncio.CancelledError:
                if not app.should_stop:
                    broken(f"an agent of {topic} was cancelled in the middle of a fetch; going on would skip it")
                return  # not done, so it is read again; Faust would log a crash
            fetch.done = True

    app.agent(channel, name=f"{app.conf.id}.{topic}")(agent)


async def _events(stream: Any) -> AsyncIterator[Any]:
    async for event in stream.events():
        yield event


async def guarded(handle: Callable[..., Awaitable[Any]], *args: Any) -> Any:
    """Await `handle`; end the process, without acknowledging anything, if it raises."""
    try:
        return await handle(*args)
    except Exception as error:  # noqa: BLE001 - whatever it is, going on would skip an event
        broken(f"{type(error).__name__}: {error}", exc_info=error)


def broken(sentence: str, exc_info: BaseException | None = None) -> None:
    """End the process at once: nothing in hand is acknowledged, so nothing is lost."""
    log.error("stopped", why=sentence, exit=EXIT_BROKEN, exc_info=exc_info)
    sys.stderr.flush()
    sys.stdout.flush()
    os._exit(EXIT_BROKEN)


def configured() -> Settings:
    """The settings of this process, with log and metrics set up; ends the process with a sentence if one is wrong."""
    try:
        config = settings()
    except ValidationError as error:
        sys.exit(f"headrace: {mistakes(error)}.")
    logs.setup(config)
    metrics.serve(config)
    return config


def journal_partitions(settings: Settings) -> int:
    """Partitions of the journal; ends the process with a sentence if the topics are not right."""
    try:
        return partitions_of_journal(settings)
    except TopicsError as error:
        sys.exit(f"headrace: {error}.")


def _credentials(settings: Settings) -> Any:
    if not settings.kafka_username:
        return None
    import ssl

    context = ssl.create_default_context(cafile=str(settings.kafka_ca_file) if settings.kafka_ca_file else None)
    return faust.SASLCredentials(
        username=settings.kafka_username,
        password=settings.kafka_password.get_secret_value(),
        mechanism="SCRAM-SHA-512",
        ssl_context=context,
    )
