"""No secret is anywhere but where it belongs: a run that uses each kind, rightly and wrongly, and then everything
that anybody could read is searched: topics, queues, Redis, logs, files, pages and what commands say.
"""

import base64
import hashlib
import hmac
import json
import re
import socket
from time import time
from urllib.parse import quote, urlsplit, urlunsplit

import httpx2
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from confluent_kafka import Consumer, TopicPartition
from kombu import Connection
from redis import Redis

from app.local.grafana import Dashboard
from app.queue import topology
from app.stream import client
from tasks.contract import Annotate, CallWebhook, RecordCost
from tests.integration.test_downstream import had
from tests.integration.test_people import Mailbox, mail_to
from tests.postgres import Postgres
from tests.processes import wait_for
from tests.product import Product, policy
from tests.rig import Rig, telling

NAMES = (
    "amqp", "redis", "github", "gateway", "receiver", "lost", "smtp", "pager", "grafana", "database", "gone", "unread",
)  # fmt: skip
SECRETS = {name: f"Zq{hashlib.sha256(name.encode()).hexdigest()[:16]}" for name in NAMES}
SECRETS["hook"] = base64.b64encode(hashlib.sha256(b"hook").digest()).decode()
CANARY = "c4narysings"
"""A word that is no secret, and has to be found in each place: else nothing was searched."""


def forms(secret):
    """How a secret could be written: as it is, quoted, in hexadecimal, and within something in base64."""
    raw = secret.encode()
    found = {raw, quote(secret, safe="").encode(), raw.hex().encode()}
    for before in range(3):  # what stands before it shifts its letters in base64
        whole = base64.b64encode(bytes(before) + raw)
        found.add(whole[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6])
    return found


def found_in(places):
    """(place, name of the secret) of each that is there."""
    return [
        (place, name)
        for place, raw in places.items()
        for name, secret in SECRETS.items()
        if any(form in raw for form in forms(secret))
    ]


def with_user(url, user, password):
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{user}:{password}@{parts.netloc.rpartition('@')[2]}"))


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Secretive(Product):
    """The product with a secret wherever one can be given."""

    def __init__(self, servers, directory, postgres):
        super().__init__(servers, directory, HEADRACE_LEASE_S="3")
        self.postgres, self.dashboard, self.mailbox = postgres, Dashboard(), Mailbox()
        self.passwords = []
        (directory / "hook").write_text(f"whsec_{SECRETS['hook']}\n")
        (directory / "token").write_text(SECRETS["grafana"])
        self.env |= {
            "HEADRACE_RABBITMQ_URL": with_user(servers.rabbitmq_url, "secretive", SECRETS["amqp"]),
            "HEADRACE_RABBITMQ_API": with_user(self.settings.rabbitmq_management, "secretive", SECRETS["amqp"]),
            "HEADRACE_REDIS_URL": with_user(servers.redis_url, "secretive", SECRETS["redis"]),
            "HEADRACE_GITHUB_SECRETS": SECRETS["github"],
            "HEADRACE_GATEWAY_TOKEN": SECRETS["gateway"],
            "HEADRACE_GATEWAY_PORT": "0",
            "HEADRACE_SPOOL": str(directory / "spool.db"),
            "HEADRACE_BUILD_COMMAND": "true",
            "HEADRACE_BUILD_DIR": str(directory / "builds"),
        }

    def __enter__(self):
        super().__enter__()
        self.users(made=True)
        self.dashboard.__enter__()
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.mailbox.port = server.getsockname()[1]
        self.smtp = Controller(
            self.mailbox, hostname="127.0.0.1", port=self.mailbox.port, auth_require_tls=False,
            authenticator=self.let_in,
        )  # fmt: skip
        self.smtp.start()
        (self.directory / "targets.toml").write_text(self.targets())
        return self

    def __exit__(self, *args):
        super().__exit__(*args)
        self.smtp.stop()
        self.dashboard.__exit__()
        self.users(made=False)

    def let_in(self, server, session, envelope, mechanism, data):
        self.passwords.append(data.password.decode())
        return AuthResult(success=True)

    def users(self, *, made):
        """The user `secretive` of RabbitMQ and Redis."""
        parts = urlsplit(self.settings.rabbitmq_management)
        amqp = urlsplit(self.settings.rabbitmq_url)
        auth = (parts.username or amqp.username or "guest", parts.password or amqp.password or "guest")
        api = httpx2.Client(base_url=f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/api/", auth=auth)
        vhost = quote(amqp.path.removeprefix("/") or "/", safe="")
        if made:
            may = {"configure": ".*", "write": ".*", "read": ".*"}
            told = {"password": SECRETS["amqp"], "tags": "administrator"}
            assert api.put("users/secretive", json=told).is_success
            assert api.put(f"permissions/{vhost}/secretive", json=may).is_success
            self.redis.execute_command("ACL", "SETUSER", "secretive", "on", f">{SECRETS['redis']}", "~*", "&*", "+@all")
        else:
            api.delete("users/secretive")
            with Redis.from_url(self.settings.redis_url) as redis:
                redis.execute_command("ACL", "DELUSER", "secretive")

    def targets(self):
        url, gone = self.receiver.url, f"127.0.0.1:{closed_port()}"
        database = with_user(self.postgres.url, "postgres", SECRETS["database"])
        receivers = {
            "team": url.replace("http://", f"json://ann:{SECRETS['receiver']}@"),
            "lost": f"json://ann:{SECRETS['lost']}@{gone}/",
            "mail": mail_to(self.mailbox, SECRETS["smtp"]),
            "pager": url.replace("http://", f"alertmanager://ann:{SECRETS['pager']}@"),
            "unread": f"nope://ann:{SECRETS['unread']}@{gone}/",
        }
        lines = [f"{name} = {json.dumps(address)}" for name, address in receivers.items()]
        return "\n".join(
            [
                "[receivers]", *lines,
                f'[webhooks.good]\nurl = "{url}"\nsecret_file = "{self.directory}/hook"\nprivate = true',
                f'[webhooks.away]\nurl = "http://{gone}/"\nsecret_file = "{self.directory}/hook"\nprivate = true',
                f'[dashboards.main]\nurl = "{self.dashboard.url}"\ntoken_file = "{self.directory}/token"',
                f'[dashboards.away]\nurl = "http://{gone}"\ntoken_file = "{self.directory}/token"',
                f'[books.main]\nurl = "{database}"\nprices = {{default = 0.05}}',
                f'[books.away]\nurl = "postgresql://u:{SECRETS["gone"]}@{gone}/x"\nprices = {{default = 0.05}}',
            ]
        )  # fmt: skip


@pytest.fixture(scope="module")
def product(session, tmp_path_factory):
    had(Postgres)
    postgres = Postgres(tmp_path_factory.mktemp("postgres"))
    postgres.start()
    directory = tmp_path_factory.mktemp("secrets")
    try:
        with Secretive(session.have("kafka", "rabbitmq", "redis"), directory, postgres) as running:
            yield running
    finally:
        postgres.kill()


def common(id_, seconds):
    now = int(time() * 1000)
    return {"id": id_, "service": "web", "decided_at_ms": now, "expires_at_ms": now + seconds * 1000}


def actions():
    """Each kind that uses a secret, done (`good`) or with something wrong (`bad`)."""
    for name in ("team", "mail", "pager"):
        yield telling(f"good-{name}", name)
    for name in ("lost", "unread", "nobody"):
        yield telling(f"bad-{name}", name, expires_in_s=8)
    for kind, name, seconds in (("good", "good", 60), ("bad", "away", 8)):
        data = {"word": CANARY}
        yield CallWebhook(**common(f"{kind}-hook", seconds), webhook=name, event="x", data=data)
    for kind, name, seconds in (("good", "main", 60), ("bad", "away", 8)):
        yield Annotate(**common(f"{kind}-mark", seconds), dashboard=name, text=CANARY, at_ms=1)
        book = {"environment": "prod", "version": CANARY, "replicas": 1, "at_ms": 1, "book": name}
        yield RecordCost(**common(f"{kind}-cost", seconds), **book)


def topics(settings):
    """Everything on Kafka: keys, values and headers of each topic that is no internal one of its own."""
    names = {name: count for name, count in client.reach(settings).items() if not name.startswith("__")}
    found = {}
    consumer = Consumer(settings.librdkafka(**{"group.id": "secrets", "enable.partition.eof": True}))
    for name, count in names.items():
        left = set(range(count))
        consumer.assign([TopicPartition(name, partition, 0) for partition in left])
        parts = []
        while left:
            message = consumer.poll(20)
            assert message is not None
            if message.error():
                left.discard(message.partition())
                continue
            parts += [message.key() or b"", message.value() or b"", repr(message.headers()).encode()]
        found[f"topic {name}"] = b"\n".join(parts)
    consumer.close()
    return found


def queues(settings):
    """Everything that lies on RabbitMQ, left where it is."""
    found = {}
    for name in topology.queues():
        with Connection(settings.rabbitmq_url) as connection:
            channel, parts = connection.channel(), []
            while (message := channel.basic_get(name)) is not None:
                body = message.body if isinstance(message.body, bytes) else message.body.encode()
                parts += [body, repr((message.properties, message.headers)).encode()]
        found[f"queue {name}"] = b"\n".join(parts)
    return found


def keys(redis):
    """Everything in Redis, but for who may come in."""
    found = {}
    read = {"hash": redis.hgetall, "list": lambda key: redis.lrange(key, 0, -1), "string": redis.get}
    for key in redis.scan_iter():
        kind = redis.type(key)
        value = read[kind](key) if kind in read else redis.dump(key)
        found[f"redis {key}"] = repr((key, value)).encode()
    return found


def files(directory):
    """Logs and everything else that was written, but for the files that secrets are read from."""
    given = {"targets.toml", "hook", "token"}
    return {
        f"file {path.relative_to(directory)}": path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and path.name not in given
    }


def gateway(product):
    """The gateway's answers to right and wrong callers."""
    running = product.processes.start(["headrace", "gateway"], product.env)
    said = re.compile(r"the incident page is at (http://\S+/)")
    wait_for(lambda: said.search(running.text), 60, "the gateway to listen")
    http = httpx2.Client(base_url=said.search(running.text)[1], timeout=20)
    body = json.dumps(
        {"ref": "refs/heads/main", "after": "1" * 40, "repository": {"full_name": f"shop/{CANARY}"}}
    ).encode()
    signature = hmac.new(SECRETS["github"].encode(), body, hashlib.sha256).hexdigest()
    answers = []
    for ours, token in ((signature, SECRETS["gateway"]), ("0" * 64, "wrong")):
        told = {
            "X-GitHub-Event": "push", "X-GitHub-Delivery": f"d-{token[:3]}", "Content-Type": "application/json",
            "X-Hub-Signature-256": f"sha256={ours}",
        }  # fmt: skip
        answers.append(http.post("webhooks/github", content=body, headers=told))
        bearer = {"Authorization": f"Bearer {token}"}
        event = {"type": "deployed", "service": "web", "version": CANARY, "time": time()}
        answers += [http.post("events", json=event, headers=bearer), http.get("", headers=bearer)]
        answers += [http.get("metrics/", headers=bearer)]
    return [one.status_code for one in answers], b"\n".join(one.content for one in answers)


def commands(product):
    """What commands say, of right and wrong settings."""
    said = {}
    for line in (
        "doctor", "dead list", "dead list -o json", "timeline web", "timeline web -o json", "decisions",
        "costs --book main",
        "costs --book main --by decision --from 1970-01-01", "audit verify", "audit commands", "queues check",
        "topics check", "quarantine", "journal cat",
    ):  # fmt: skip
        said[f"command {line}"] = output(product, line)
    said["command costs init"] = output(product, "costs init --book away")
    product.env = {**product.env, "HEADRACE_REDIS_URL": with_user(product.settings.redis_url, "u", SECRETS["redis"])}
    said["command doctor, refused by Redis"] = output(product, "doctor")
    return said


def output(product, line):
    try:
        done = product.headrace(*line.split())
    except AssertionError as error:  # another exit code: what it said is in the words
        return str(error).encode()
    return (done.stdout + done.stderr).encode()


def test_a_run_that_uses_every_secret_leaves_none_in_topics_queues_redis_logs_files_or_answers(product):
    product.stream()
    product.worker()
    product.apply(policy(), message=CANARY)
    product.send("metrics", *[{"host": "web-1", "cpu": 99, "word": CANARY, "ts": time()}], b"{" + CANARY.encode())
    statuses, answers = gateway(product)
    assert statuses == [202, 202, 200, 200, 401, 401, 401, 401]
    rig = Rig(product.settings)
    wanted = list(actions())
    rig.send(*wanted)
    rig.raw("scale", CANARY.encode(), {"task": "actions.scale", "id": "malformed-1"}, content_type="application/json")
    ended = {one.id: one.status.value for one in rig.ended("good-", 6) + rig.ended("bad-", 6, 60)}
    assert {id_: status for id_, status in ended.items() if id_.startswith("good-")} == {
        one.id: "done" for one in wanted if one.id.startswith("good-")
    }
    assert {status for id_, status in ended.items() if id_.startswith("bad-")} <= {"failed", "expired"}
    wait_for(lambda: rig.depth("parked") == 1, 30, "the malformed message to be parked")
    assert product.mailbox.mails
    assert SECRETS["smtp"] in product.passwords
    assert f"Bearer {SECRETS['grafana']}" in product.dashboard.authorizations
    said = commands(product)
    product.headrace("dead", "redrive", "--all", "-r", CANARY)
    wait_for(lambda: rig.depth("parked") == 1, 30, "it to be parked again")
    wait_for(lambda: CANARY.encode() in output(product, "journal cat --kind command"), 30, "the record on the journal")
    places = topics(product.settings) | queues(product.settings) | keys(product.redis) | files(product.directory)
    places |= {"answers": answers} | said
    for place in ("topic headrace.control", "topic headrace.journal", "topic headrace.quarantine", "queue parked"):
        assert any(form in places[place] for form in forms(CANARY)), place
    assert CANARY.encode() in b"".join(raw for place, raw in places.items() if place.startswith("file processes/"))
    assert any(b"good-hook" in raw for place, raw in places.items() if place.startswith("redis "))
    assert found_in(places) == []


@pytest.mark.parametrize("name", SECRETS)
def test_the_search_would_find_a_secret_however_it_is_written(name):
    secret = SECRETS[name].encode()
    inside = [base64.b64encode(bytes(before) + secret + b"more") for before in range(4)]
    for written in (secret, secret.hex().encode(), base64.b64encode(b"ann:" + secret), *inside):
        assert found_in({"somewhere": b'{"x": "' + written + b'"}'}) == [("somewhere", name)]
