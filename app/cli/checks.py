"""What `headrace doctor` looks at: one function a server, each yielding findings, none changing anything."""

from collections.abc import Callable, Iterator
from time import time
from typing import Any, Final, Literal, NamedTuple

from redis import Redis
from redis.exceptions import RedisError

from app.cli.times import now_ms
from app.queue import topology
from app.queue.api import TopologyError
from app.settings import Settings, masked
from app.stream import client
from app.stream import topics as stream_topics
from app.stream.topics import JOURNAL

CLOCKS_S: Final = 5.0
"""Most seconds that two clocks may differ."""

REDIS_S: Final = 5.0


class Finding(NamedTuple):
    """One thing that was looked at; `note` is neither right nor wrong."""

    verdict: Literal["ok", "wrong", "note"]
    subject: str
    text: str


def kafka(config: Settings) -> Iterator[Finding]:
    """Whether Kafka is there, its topics are right and its clock agrees with ours."""
    if not config.kafka_url:
        yield Finding(
            "note",
            "Kafka",
            "not set: queue only. Builds are taken and done; nothing is measured, decided or remembered. "
            "For the rest set HEADRACE_KAFKA_URL and run `headrace topics init`",
        )
        return
    try:
        client.reach(config)
        yield Finding("ok", "Kafka", f"answers at {config.bootstrap}")
        wrong = stream_topics.check(config)
    except (client.KafkaUnavailable, stream_topics.TopicsError) as error:
        yield Finding("wrong", "Kafka", str(error))
        return
    for sentence in wrong:
        yield Finding("wrong", "topics", sentence)
    if not wrong:
        yield Finding("ok", "topics", "all there, and as they should be")
        yield _append_time(config)


def _append_time(config: Settings) -> Finding:
    """Kafka's clock, from the newest record of the journal, which a running intake writes each second."""
    newest = client.tail(config, JOURNAL, 1, lambda _: True)
    ahead_s = (newest[-1].timestamp_ms - now_ms()) / 1000 if newest else 0.0
    if ahead_s > CLOCKS_S:
        return Finding("wrong", "clocks", f"Kafka's clock is {ahead_s:.0f} s ahead of this machine's; synchronise them")
    if ahead_s < -CLOCKS_S:
        text = f"no fact for {-ahead_s:.0f} s by our clock: the intake is not running, or Kafka's clock is behind"
        return Finding("note", "clocks", text)
    return Finding("ok", "clocks", f"Kafka's append time is within {CLOCKS_S:.0f} s of this machine's")


def rabbitmq(config: Settings) -> Iterator[Finding]:
    """Whether RabbitMQ is there, with its exchanges, queues and policies as they should be."""
    if not config.rabbitmq_url:
        yield Finding(
            "note",
            "RabbitMQ",
            "not set: stream only. Decisions are made and recorded; nothing is done and nothing is built. "
            "For the rest set HEADRACE_RABBITMQ_URL and HEADRACE_REDIS_URL and run `headrace queues init`",
        )
        return
    try:
        wrong = topology.check(config)
    except TopologyError as error:
        yield Finding("wrong", "RabbitMQ", str(error))
        return
    for sentence in wrong:
        yield Finding("wrong", "RabbitMQ", sentence)
    if not wrong:
        yield Finding("ok", "RabbitMQ", f"answers at {masked(config.rabbitmq_url)}, with the queues as they should be")


def redis(config: Settings) -> Iterator[Finding]:
    """Whether the ledger's Redis is there, keeps what it is given, and its clock agrees with ours."""
    if not config.rabbitmq_url:
        yield Finding("note", "Redis", "not looked at: it is the workers' ledger, and without RabbitMQ there are none")
        return
    if not config.redis_url:
        yield Finding("note", "Redis", "not set: the workers have no ledger, so they cannot run")
        return
    server: Any = Redis.from_url(config.redis_url, socket_timeout=REDIS_S, socket_connect_timeout=REDIS_S)
    try:
        with server:
            server.ping()
            yield Finding("ok", "Redis", f"answers at {masked(config.redis_url)}")
            seconds, micros = server.time()
            off_s = seconds + micros / 1e6 - time()
            yield from _kept(server)
    except RedisError as error:
        hint = "is it running, and is HEADRACE_REDIS_URL right?"
        yield Finding("wrong", "Redis", f"does not serve at {masked(config.redis_url)} ({error}); {hint}")
        return
    if abs(off_s) > CLOCKS_S:
        text = f"Redis' clock is {abs(off_s):.0f} s {'ahead of' if off_s > 0 else 'behind'} ours; synchronise them"
        yield Finding("wrong", "clocks", text)
    else:
        yield Finding("ok", "clocks", f"Redis' is within {CLOCKS_S:.0f} s of this machine's")


def _kept(server: Any) -> Iterator[Finding]:
    """Whether Redis may forget: evict keys when it is full, or lose them when it restarts."""
    for name, right, why in (
        ("maxmemory-policy", "noeviction", "it may evict the ledger's keys, and an action could be done twice"),
        ("appendonly", "yes", "a restart forgets what was done, and an action could be done twice"),
    ):
        try:
            found = server.config_get(name).get(name)
        except RedisError as error:
            yield Finding("note", "Redis", f"does not tell {name} ({error}); it should be {right}")
            continue
        if found == right:
            yield Finding("ok", "Redis", f"{name} is {right}")
        else:
            yield Finding("wrong", "Redis", f"{name} is {found}: {why}; run `CONFIG SET {name} {right}`")


def gateway(config: Settings) -> Iterator[Finding]:
    """Whether the gateway may be started, what it takes, and what waits on its disk."""
    from app.gateway import auth
    from app.gateway.spool import Spool, SpoolError

    if why := auth.mistake(config):
        yield Finding("wrong", "gateway", why)
    if not config.github_secrets.get_secret_value():
        text = "takes no webhooks from GitHub: HEADRACE_GITHUB_SECRETS is not set"
        yield Finding("note", "gateway", text)
    if not config.spool.exists():
        return
    try:
        waiting = Spool(config.spool).count()
    except SpoolError as error:
        yield Finding("wrong", "gateway", str(error))
        return
    if waiting:
        text = f"{waiting} builds wait in {config.spool} for RabbitMQ; a running gateway publishes them by itself"
        yield Finding("note", "gateway", text)


def kubernetes(config: Settings) -> Iterator[Finding]:
    """Whether the API of the kubeconfig file answers us, where one is set."""
    if config.kube_config is None:
        return
    from app.observe.cluster import ObserveError, reach

    try:
        yield Finding("ok", "Kubernetes", f"answers as {reach(config)} where {config.kube_config} says")
    except ObserveError as error:
        yield Finding("wrong", "Kubernetes", str(error))


ALL: Final[tuple[Callable[[Settings], Iterator[Finding]], ...]] = (kafka, rabbitmq, redis, gateway, kubernetes)
"""Every check, in the order in which they are told."""
