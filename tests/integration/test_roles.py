"""RabbitMQ's users: each can do its job and is refused all else. On a real broker, in a virtual host of its own."""

from urllib.parse import quote, urlsplit

import pytest
from amqp import Message
from amqp.exceptions import AccessRefused
from kombu import Connection
from pydantic import SecretStr

from app.local.foreign import Foreign
from app.queue import api, roles, topology
from app.queue.message import of_action, of_event
from app.queue.publisher import Publisher
from tasks.contract import DEAD_QUEUE, EXCHANGE, PARKED_QUEUE, QUEUES, Event, Kind, Status
from tests.processes import wait_for
from tests.rig import LEASE_S, Rig, building, scaling, telling, worker

VHOST = "least"
PASSWORDS = {f"rabbitmq_{name}_password": f"{name} has: a @ long one" for name in roles.ROLES}


@pytest.fixture
def own(clean):
    """A virtual host with the topology and the users; they are removed at the end."""
    url = clean.rabbitmq_url.rpartition("/")[0] + f"/{VHOST}"
    one = clean.model_validate(clean.model_dump() | {"rabbitmq_url": url} | PASSWORDS)
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    api.call(one, "PUT", "vhosts/{vhost}", {})
    api.call(one, "PUT", f"permissions/{{vhost}}/{urlsplit(url).username}", everything)
    topology.init(one)
    yield one
    api.call(one, "DELETE", "vhosts/{vhost}")
    for role in roles.ROLES.values():
        if role.user in {user["name"] for user in api.call(one, "GET", "users")}:
            api.call(one, "DELETE", f"users/{role.user}")


@pytest.fixture
def users(own):
    roles.init(own)
    return own


def url_of(settings, name):
    place = urlsplit(settings.rabbitmq_url)
    password = quote(settings.rabbitmq_password(name), safe="")
    return f"amqp://{roles.ROLES[name].user}:{password}@{place.hostname}:{place.port}/{VHOST}"


@pytest.fixture
def refused(users):
    """Whether a user is refused what it tries: a function of a channel."""

    def refused(name, attempt):
        options = {"confirm_publish": True, "read_timeout": 10}
        with Connection(url_of(users, name), transport_options=options) as connection:
            try:
                attempt(connection.channel())
            except AccessRefused:
                return True
            finally:
                connection.collect()
        return False

    return refused


def send(exchange, key):
    return lambda channel: channel.basic_publish(Message(b"{}"), exchange, key)


def declare(name):
    return lambda channel: channel.queue_declare(name, durable=True, arguments=topology.QUORUM, auto_delete=False)


def bind(key):
    def attempt(channel):
        declare("foreign_test")(channel)
        channel.queue_bind("foreign_test", EXCHANGE, key)

    return attempt


READS = [lambda channel, name=name: channel.basic_get(name) for name in (*QUEUES.values(), DEAD_QUEUE, PARKED_QUEUE)]
CHANGES = [
    declare("anything"), lambda channel: channel.queue_delete("scale"), lambda channel: channel.queue_purge("scale"),
    lambda channel: channel.exchange_delete(EXCHANGE), lambda channel: channel.exchange_declare("mine", "topic"),
    lambda channel: channel.queue_bind("scale", EXCHANGE, "event.#"),
    lambda channel: channel.queue_unbind("scale", EXCHANGE, "action.scale.#"),
]  # fmt: skip
FORBIDDEN = {
    "router": [
        *READS, *CHANGES, send("", "scale"), send("dead_letters", "x"), send("retry_2s", "x"), send(EXCHANGE, "x"),
    ],
    "worker": [
        READS[-1], *[one for one in CHANGES if one is not CHANGES[2]], send(EXCHANGE, "action.scale.web"),
        send(EXCHANGE, "event.deployed.prod.web"), send("dead_letters", "x"),
    ],
    "gateway": [
        *READS, *CHANGES, send("", "scale"), send("", "build_jobs"), send("retry_2s", "x"),
        *[send(EXCHANGE, f"action.{kind.value}.web") for kind in Kind if kind is not Kind.BUILD],
        send(EXCHANGE, "event.deployed.prod.web"),
    ],
    "reader": [
        *READS, *CHANGES, send(EXCHANGE, "event.deployed.prod.web"), send(EXCHANGE, "action.scale.web"),
        send("", "scale"), bind("#"), bind("action.scale.#"),
    ],
}  # fmt: skip
"""What each must not. A worker may purge what it may read: RabbitMQ has one right for both."""


@pytest.mark.parametrize("name", FORBIDDEN)
def test_a_user_is_refused_what_is_not_its_job(refused, name):
    assert [place for place, attempt in enumerate(FORBIDDEN[name]) if not refused(name, attempt)] == []


async def published(url, *messages):
    publisher = Publisher(url)
    publisher.start()
    try:
        await publisher.publish(messages)
    finally:
        publisher.stop()


def run(coroutine):
    import asyncio

    asyncio.run(asyncio.wait_for(coroutine, 20))


EVENT = Event(id="e-1", event="deployed", service="web", environment="prod", at_ms=1)


def test_the_router_publishes_every_kind_and_events_that_a_foreign_reader_gets(users):
    actions = [scaling("a-1", "web"), telling("a-2"), building("a-3")]
    with Foreign(url_of(users, "reader")) as reader:
        run(published(url_of(users, "router"), *map(of_action, actions), of_event(EVENT)))
        wait_for(lambda: [one["id"] for one in reader.events] == ["e-1"], 20, "the event")
    rig = Rig(users)
    assert [rig.depth(QUEUES[kind]) for kind in (Kind.SCALE, Kind.NOTIFY, Kind.BUILD)] == [1, 1, 1]


def test_the_gateway_publishes_builds(users):
    run(published(url_of(users, "gateway"), of_action(building("b-1"))))
    assert Rig(users).depth(QUEUES[Kind.BUILD]) == 1


def test_a_worker_with_its_own_user_does_actions_has_copies_come_back_and_parks(
    users, headrace_env, processes, tmp_path
):
    rig = Rig(users)
    rig.fleet("web")
    rig.fleet("bug", delay_ms="no number")
    (tmp_path / "targets.toml").write_text("[receivers]\nteam = 'json://127.0.0.1:1/'\n")
    env = headrace_env | {
        "HEADRACE_RABBITMQ_URL": url_of(users, "worker"), "HEADRACE_LEASE_S": str(LEASE_S),
        "HEADRACE_TARGETS_FILE": str(tmp_path / "targets.toml"),
    }  # fmt: skip
    running = worker(processes, env)
    rig.send(scaling("w-1", "web"), scaling("w-2", "bug"), telling("w-3", expires_in_s=8))
    ended = {id_: rig.ended(id_, timeout=60)[0].status for id_ in ("w-1", "w-2", "w-3")}
    assert ended == {"w-1": Status.DONE, "w-2": Status.DEAD, "w-3": Status.FAILED}
    assert rig.ended("w-3")[0].attempts > 1, "its copies came back"
    wait_for(lambda: rig.depth(PARKED_QUEUE) == 1, 20, "the dead letter to be parked")
    assert "ACCESS_REFUSED" not in running.text
    assert "access_refused" not in running.text.lower()


def test_check_compares_the_users_that_are_there_and_init_mends_them(own, run_on):
    assert topology.check(own) == [], "users are not asked for"
    assert len(topology.check(own, users=True)) == len(roles.ROLES)
    made = run_on(own, "queues", "init", "--users")
    assert made.exit_code == 0, made.output
    assert "users: headrace-router, headrace-worker, headrace-gateway, headrace-reader" in made.output
    assert topology.check(own, users=True) == []
    api.call(own, "PUT", "permissions/{vhost}/headrace-router", {"configure": ".*", "write": ".*", "read": ".*"})
    api.call(own, "PUT", "users/headrace-gateway", {"password": "a different one", "tags": "administrator"})
    api.call(own, "DELETE", "topic-permissions/{vhost}/headrace-reader")
    told = topology.check(own)
    assert [line for line in told if "headrace-router may configure .* and should ^$" in line]
    assert [line for line in told if "headrace-gateway is administrator" in line]
    assert [line for line in told if "headrace-reader is not limited to its routing keys" in line]
    assert run_on(own, "queues", "check").exit_code == 1
    roles.init(own)
    assert topology.check(own, users=True) == []


def test_without_a_password_no_user_is_made_and_one_from_a_file_will_do(own, tmp_path):
    none = own.model_copy(update=dict.fromkeys(PASSWORDS, SecretStr("")))
    with pytest.raises(api.TopologyError, match="HEADRACE_RABBITMQ_ROUTER_PASSWORD") as told:
        roles.init(none)
    assert "headrace-reader" in str(told.value)
    assert {role.user for role in roles.ROLES.values()} & {
        one["name"] for one in api.call(own, "GET", "users")
    } == set()
    for role in roles.ROLES.values():
        (tmp_path / role.user).write_text("from a file, with a line's end\n")
    roles.init(none.model_copy(update={"rabbitmq_passwords": tmp_path}))
    filed = own.model_copy(
        update={"rabbitmq_gateway_password": type(own.rabbitmq_router_password)("from a file, with a line's end")}
    )
    run(published(url_of(filed, "gateway"), of_action(building("f-1"))))
    roles.init(none)  # who is there keeps the password
    run(published(url_of(filed, "gateway"), of_action(building("f-2"))))


@pytest.fixture
def run_on(monkeypatch):
    """Runs a command with some settings."""
    from typer.testing import CliRunner

    from app.cli import root
    from app.settings import settings as current

    def run_on(settings, *arguments):
        for name in ("kafka_url", "rabbitmq_url", "rabbitmq_api", "redis_url"):
            monkeypatch.setenv(f"HEADRACE_{name.upper()}", getattr(settings, name))
        for name in PASSWORDS:
            monkeypatch.setenv(f"HEADRACE_{name.upper()}", getattr(settings, name).get_secret_value())
        current.cache_clear()
        return CliRunner().invoke(root, list(arguments))

    yield run_on
    current.cache_clear()
