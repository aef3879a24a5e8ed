"""The servers as fixtures: real ones, started when a test first asks, ended with the session.

`kafka_url`, `rabbitmq_url`, `redis_url`   addresses; one server each
`servers`                                  all three at once
`kafka`, `rabbitmq`, `redis`               ours to kill, freeze and start again; mended after the test
`settings`, `headrace_env`                 the same for this process and for programs
`clean`                                    topics, queues and keys as on the first day
`processes`, `wait_for`                    programs of the product, and waiting for what they do
"""

import os

import pytest

from app.local import servers as local
from app.local.process import ServerUnavailable
from app.queue import topology
from app.settings import Settings
from tests import fresh
from tests.processes import Processes
from tests.processes import wait_for as wait


class Session:
    """The servers that some test of this session has asked for."""

    def __init__(self, directory) -> None:
        self.directory = directory
        self.all = local.Servers({}, {})

    def have(self, *names: str) -> local.Servers:
        """All servers had so far, among them these; a skip where one cannot be had, a failure in CI."""
        missing = {name for name in names if f"HEADRACE_{name.upper()}_URL" not in self.all.env}
        if missing:
            try:
                more = local.start(self.directory, **{name: name in missing for name in local.NAMES})
            except ServerUnavailable as error:
                (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))
            fresh.refuse_used(more)
            self.all = local.Servers(self.all.own | more.own, self.all.given | more.given)
        return self.all


@pytest.fixture(scope="session")
def session(tmp_path_factory):
    running = Session(tmp_path_factory.mktemp("servers"))
    yield running
    fresh.leave_empty(running.all)
    running.all.kill()


@pytest.fixture
def servers(session):
    return session.have(*local.NAMES)


@pytest.fixture
def kafka_url(session):
    return session.have("kafka").kafka_url


@pytest.fixture
def rabbitmq_url(session):
    return session.have("rabbitmq").rabbitmq_url


@pytest.fixture
def redis_url(session):
    return session.have("redis").redis_url


def _ours(session, name):
    """A server that a test may break; it serves again afterwards."""
    server = session.have(name).own.get(name)
    if server is None:
        pytest.skip(f"this test breaks the server, and HEADRACE_{name.upper()}_URL names one that is not ours")
    yield server
    if server.running:
        server.thaw()
    server.start()


@pytest.fixture
def kafka(session):
    yield from _ours(session, "kafka")


@pytest.fixture
def rabbitmq(session):
    if (ours := session.have("rabbitmq").own.get("rabbitmq")) is not None:
        fresh.written(ours, *topology.queues())
    yield from _ours(session, "rabbitmq")


@pytest.fixture
def redis(session):
    yield from _ours(session, "redis")


@pytest.fixture
def headrace_env(servers, tmp_path):
    """The environment of the product's programs: the servers, few partitions, its own folder."""
    return servers.env | {
        "HEADRACE_PARTITIONS": "4",
        "HEADRACE_DATADIR": str(tmp_path / "faust"),
        "HEADRACE_LOG_JSON": "true",
    }


@pytest.fixture
def settings(servers):
    """The same servers for code that runs in the test itself."""
    return Settings(
        kafka_url=servers.kafka_url, rabbitmq_url=servers.rabbitmq_url, redis_url=servers.redis_url, partitions=4,
        rabbitmq_api=servers.env.get("HEADRACE_RABBITMQ_API", ""),
    )  # fmt: skip


@pytest.fixture
def clean(settings):
    """Topics, queues and keys as on the first day; use it in every test that counts."""
    fresh.topics(settings)
    fresh.queues(settings)
    fresh.keys(settings)
    return settings


@pytest.fixture
def processes(tmp_path):
    started = Processes(tmp_path / "processes")
    yield started
    started.end()


@pytest.fixture
def wait_for():
    return wait
