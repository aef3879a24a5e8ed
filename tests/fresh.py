"""Servers as on the first day: what tests before this one left is removed.

A server that a setting names may be somebody's: it is refused unless it is empty at first.
"""

import http.client
import json
from contextlib import suppress
from time import monotonic, sleep
from urllib.parse import quote, urlsplit

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from redis import Redis

from app.local.servers import Servers
from app.settings import Settings
from app.stream import topics as stream_topics

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


def topics(settings: Settings) -> None:
    """Delete every topic and group, and make ours anew."""
    admin = _admin(settings)
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
    stream_topics.init(settings, sources=True)


def queues(servers: Servers, settings: Settings) -> None:
    """Make the virtual host anew, with our exchanges and queues; connections to it end."""
    from app.queue import topology

    if "HEADRACE_RABBITMQ_API" in servers.env:
        _anew(servers.env["HEADRACE_RABBITMQ_API"], urlsplit(servers.rabbitmq_url).path[1:])
    topology.init(settings)


def keys(settings: Settings) -> None:
    """Delete every key of Redis' database."""
    with Redis.from_url(settings.redis_url) as redis:
        redis.flushdb()


def _admin(settings: Settings) -> AdminClient:
    return AdminClient(settings.librdkafka(log_level=0))


def _names(admin: AdminClient) -> list[str]:
    return [name for name in admin.list_topics(timeout=TIMEOUT_S).topics if not name.startswith("__")]


def _anew(api: str, vhost: str) -> None:
    for method, path, body in (
        ("DELETE", f"/api/vhosts/{quote(vhost, '')}", None),
        ("PUT", f"/api/vhosts/{quote(vhost, '')}", None),
        ("PUT", f"/api/permissions/{quote(vhost, '')}/USER", {"configure": ".*", "write": ".*", "read": ".*"}),
    ):
        _call(api, method, path.replace("USER", quote(urlsplit(api).username or "", "")), body)


def _call(api: str, method: str, path: str, body: dict[str, str] | None) -> None:
    from base64 import b64encode

    at = urlsplit(api)
    peer = http.client.HTTPConnection(at.hostname or "", at.port, timeout=TIMEOUT_S)
    basic = b64encode(f"{at.username}:{at.password}".encode()).decode()
    headers = {"Authorization": f"Basic {basic}", "Content-Type": "application/json"}
    peer.request(method, path, json.dumps(body) if body else None, headers)
    status = peer.getresponse().status
    peer.close()
    assert status < 300 or (method == "DELETE" and status == 404), f"{method} {path} answered {status}"
