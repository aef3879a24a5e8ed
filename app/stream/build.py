"""How a Faust app of ours is built: one transport, checked topics, and an end that is an end.

Called by `app.intake`, `app.autoscaler` and `app.router`. Faust acknowledges events whose agent
raised, so nothing of ours runs in an agent: it hands its blocks to the lanes, where an exception
ends the process before anything is acknowledged. A supervisor starts it again and the block is read again.
"""

import gc
import sys
from collections.abc import Awaitable, Iterable
from functools import partial
from typing import Any, Final

import faust
import uvloop
from faust.exceptions import ImproperlyConfigured
from mode import Service
from pydantic import ValidationError

from app import log as logs
from app import metrics
from app.settings import Settings, settings
from app.stream.blocks import Block, Fenced
from app.stream.ending import guarded
from app.stream.lanes import Handle
from app.stream.topics import STATE_BYTES, TopicsError, partitions_of_journal
from app.stream.watchdog import Watchdog
from tasks.shared_settings import mistakes

FETCH_BYTES: Final = STATE_BYTES + 1_000_000
CHANNEL: Final = 10_000
"""Events that an agent's channel has room for: never full, since few blocks of each partition are under way."""


class Worker(faust.Worker):
    """A Faust worker without Faust's web server, which the command `worker` turns on: it listens on every
    address and shows the tables to anybody. Metrics have a port of their own.
    """

    def __init__(self, app: faust.App, *services: Any, **options: Any) -> None:
        app.conf.web_enabled = False
        # what is there now stays, and records and samples are no cycles: by Python's own measure (700) the
        # collector would walk them all again and again
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)
        super().__init__(app, *services, **options)


def build(name: str, topics: Iterable[str], settings: Settings, *, state: bool = False) -> faust.App:
    """A Faust app named `name` that gets `topics` as blocks; `state` holds commits back to its state."""
    datadir = settings.datadir / name / (settings.instance or "default")
    datadir.mkdir(parents=True, exist_ok=True)
    uvloop.install()  # before Faust asks for a loop
    app = faust.App(
        name,
        env_prefix="=",  # no variable has such a name: Faust's BROKER_URL would override the address given here
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
    app.handled = set()
    app.waits_for = str
    _watch(app, settings)
    return app


def _watch(app: faust.App, settings: Settings) -> None:
    """Have a watchdog start and stop with the app."""

    class Watching(Service):
        """The watchdog's thread."""

        mundane_level = "debug"

        async def on_start(self) -> None:
            self.watchdog = Watchdog(app, settings)
            self.watchdog.start()

        async def on_stop(self) -> None:
            self.watchdog.stopping.set()

    app.service(Watching)


def blocks(app: faust.App, topic: str, handle: Handle) -> None:
    """Have `handle` called with each block of a topic, a partition's one after the other; what it returns from is
    done for good, or, where it returns something to wait for, when that has ended: those behind it do not wait.
    Partitions do not wait for each other.
    """
    if topic not in app.block_topics:
        raise ImproperlyConfigured(
            f"topic {topic} is not among the topics that app {app.conf.id} was built with; patterns are not read"
        )
    if topic in app.handled:
        raise ImproperlyConfigured(f"topic {topic} has an agent already; a block is done when one handler says so")
    app.handled.add(topic)
    channel = app.topic(
        topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw", maxsize=CHANNEL
    )

    async def work(block: Block) -> Awaitable[None] | None:
        if not app.consumer.positions.turn_of(block):
            raise Fenced
        await app.consumer.heart.fence()
        rest = await handle(block)
        return None if rest is None else guarded(_awaited, rest)

    async def agent(stream: Any) -> None:
        async for event in stream.events():
            for block in event.value:
                app.consumer.lanes.put(block, partial(guarded, work))

    app.agent(channel, name=f"{app.conf.id}.{topic}")(agent)


async def _awaited(rest: Awaitable[None]) -> None:
    await rest


def configured() -> Settings:
    """The settings of this process, with log and metrics set up; ends the process with a sentence if one is wrong."""
    try:
        config = settings()
    except ValidationError as error:
        sys.exit(f"headrace: {mistakes(error)}.")
    logs.setup(config)
    try:
        metrics.serve(config)
    except OSError as error:
        sys.exit(f"headrace: port {config.metrics_port} of HEADRACE_METRICS_PORT cannot be had: {error.strerror}.")
    return config


def journal_partitions(settings: Settings) -> int:
    """Partitions of the journal; ends the process with a sentence if the topics are not right."""
    try:
        return partitions_of_journal(settings)
    except TopicsError as error:
        sys.exit(f"headrace: {error}{'' if str(error).endswith('?') else '.'}")


def _credentials(settings: Settings) -> Any:
    """How Faust is to speak to Kafka; None without any security."""
    if not settings.kafka_sasl:
        return faust.SSLCredentials(context=_tls(settings)) if settings.kafka_tls else None
    return faust.SASLCredentials(
        username=settings.kafka_username,
        password=settings.kafka_password.get_secret_value(),
        mechanism=settings.kafka_mechanism,
        ssl_context=_tls(settings) if settings.kafka_tls else None,
    )


def _tls(settings: Settings) -> Any:
    import ssl

    try:
        context = ssl.create_default_context(cafile=settings.kafka_ca_file)
        if settings.kafka_cert_file is not None:
            context.load_cert_chain(settings.kafka_cert_file, settings.kafka_key_file)
    except OSError as error:
        sys.exit(f"headrace: a file of HEADRACE_KAFKA_CA_FILE, _CERT_FILE or _KEY_FILE cannot be used: {error}.")
    return context
