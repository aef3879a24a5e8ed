"""Servers as on the first day: what tests before this one left is removed.

A server that a setting names may be somebody's: it is refused unless it is empty at first.
"""

from contextlib import suppress
from time import monotonic, sleep

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from kombu import Connection
from redis import Redis

from app.local.rabbitmq import VHOST, RabbitMQ
from app.local.servers import Servers
from app.queue import topology
from app.settings import Settings
from app.stream import topics as stream_topics
from tests.processes import wait_for

TIMEOUT_S = 30.0


def refuse_used(servers: Servers) -> None:
    """Fail rather than delete what a server that is not ours holds."""
    held = []
    if "kafka" not in servers.own and "HEADRACE_KAFKA_URL" in servers.env:
        held += [f"Kafka holds topic {name}" for name in _names(_admin(Settings(kafka_url=servers.kafka_url)))]
    if "redis" not in servers.own and "HEADRACE_REDIS_URL" in servers.env:
        with Redis.from_url(servers.redis_url) as redis:
            held += ["Redis holds keys"] if redis.dbsize() else []
    if held:
        pytest.exit(f"{'; '.join(held)}: the tests would delete that; unset HEADRACE_…_URL or name empty servers", 2)


def leave_empty(servers: Servers) -> None:
    """Leave a server that is not ours as it was: empty."""
    if "kafka" not in servers.own and "HEADRACE_KAFKA_URL" in servers.env:
        _delete_topics(_admin(Settings(kafka_url=servers.kafka_url)))
    if "redis" not in servers.own and "HEADRACE_REDIS_URL" in servers.env:
        keys(Settings(redis_url=servers.redis_url))


def topics(settings: Settings) -> None:
    """Delete every topic and group, and make ours anew."""
    _delete_topics(_admin(settings))
    stream_topics.init(settings, sources=True)


def no_topics(settings: Settings) -> None:
    """Delete every topic and group."""
    _delete_topics(_admin(settings))


def queues(settings: Settings) -> None:
    """Our exchanges and queues, empty. They are emptied, not made anew: a quorum queue that is deleted, made
    again and then loses its node can refuse everything for good (RabbitMQ 3.10)."""
    topology.init(settings)
    with Connection(settings.rabbitmq_url) as connection:
        for name in topology.queues():
            connection.channel().queue_purge(name)


def written(server: RabbitMQ, *names: str) -> None:
    """Wait until RabbitMQ has written these queues to its directory of quorum queues. It does so (3.10) when nothing
    was declared for half a second and its timer comes round; killed before, a queue comes back without a leader,
    for good."""
    directory = server.directory / "mnesia"

    def missing() -> list[str]:
        known = b"".join(table.read_bytes() for table in directory.rglob("names.dets"))
        return [name for name in names if f"{VHOST}_{name}".encode() not in known]

    wait_for(lambda: not missing(), TIMEOUT_S, "RabbitMQ to write down its queues")


def keys(settings: Settings) -> None:
    """Delete every key of Redis' database."""
    with Redis.from_url(settings.redis_url) as redis:
        redis.flushdb()


def _admin(settings: Settings) -> AdminClient:
    return AdminClient(settings.librdkafka(log_level=0))


def _delete_topics(admin: AdminClient) -> None:
    names = _names(admin)
    for future in (admin.delete_topics(names) if names else {}).values():
        future.result(TIMEOUT_S)
    deadline = monotonic() + TIMEOUT_S
    while _names(admin) and monotonic() < deadline:
        sleep(0.05)
    groups = [group.group_id for group in admin.list_consumer_groups().result(TIMEOUT_S).valid]
    for future in (admin.delete_consumer_groups(groups) if groups else {}).values():
        with suppress(KafkaException):  # a member that was killed is still counted: its offsets went with the topics
            future.result(TIMEOUT_S)


def _names(admin: AdminClient) -> list[str]:
    return [name for name in admin.list_topics(timeout=TIMEOUT_S).topics if not name.startswith("__")]
