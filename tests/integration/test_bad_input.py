"""Bad input costs itself only: each kind lands in quarantine while the product goes on. No workers are needed."""

import base64
import hashlib
import json
import time
import urllib.request
from typing import NamedTuple

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource
from kombu import Connection

from app.local import ports
from app.policy.facts import Command, Deploy, Instances, Reported, Samples
from app.stream.topics import CONTROL, DECISIONS, OUTCOMES
from tasks.contract import Kind, Outcome, Status, encode
from tests.processes import wait_for
from tests.product import Product, policy

pytestmark = pytest.mark.timeout(120)

HOUR_S = 3600


class Bad(NamedTuple):
    """A record that cannot be read, on a topic; `reason` is part of what is said of it."""

    name: str
    topic: str
    value: bytes | None
    reason: str


BAD = (
    Bad("no JSON", "metrics", b"cpu=92", "JSON"),
    Bad("no text", "metrics", b'{"host":"web-\xff\xfe-01","cpu":1}', "JSON"),
    Bad("a wrong type", "metrics", b'{"host":"web-01","cpu":"hot"}', "cpu"),
    Bad("NaN", "metrics", b'{"host":"web-01","cpu":NaN}', "JSON"),
    Bad("a number too large", "metrics", b'{"host":"web-01","cpu":1e999}', "out of range"),
    Bad("no host and no service", "metrics", b'{"cpu":92}', "service"),
    Bad("a host that no rule maps", "metrics", b'{"host":"database","cpu":92}', "database"),
    Bad("an hour ahead", "metrics", b'{"host":"web-01","cpu":92,"timestamp":%d}', "ahead"),
    Bad("2 MB", "metrics", b'{"host":"web-01","cpu":92,"labels":{"a":"%s"}}' % (b"x" * 2_000_000), "bytes"),
    Bad("an empty value", "metrics", b"", "empty"),
    Bad("a tombstone", "metrics", None, "tombstone"),
    Bad("one bad of an array", "metrics", b'[{"host":"web-01","cpu":1},{"cpu":2}]', "service"),
    Bad("an unknown type of event", "deploy_events", b'{"type":"exploded","service":"web"}', "exploded"),
    Bad("an event that is no object", "deploy_events", b"7", "object"),
    Bad("instances that are none", "instances", b'{"service":"web","wanted":"many"}', "wanted"),
    Bad("garbage on control", CONTROL, b"\x00garbage", "JSON"),
    Bad("an unknown command", CONTROL, b'{"kind":"reboot"}', "reboot"),
    Bad("garbage on outcomes", OUTCOMES, b"garbage", "JSON"),
    Bad("a tombstone on outcomes", OUTCOMES, None, "tombstone"),
)

FACTS = {"metrics": Samples, "deploy_events": Deploy, "instances": Instances, CONTROL: Command, OUTCOMES: Reported}
"""What a good record of each topic becomes."""


@pytest.fixture(scope="module")
def product(session, tmp_path_factory):
    [port] = ports.free()
    servers = session.have("kafka", "rabbitmq", "redis")
    with Product(servers, tmp_path_factory.mktemp("bad"), HEADRACE_METRICS_PORT=str(port)) as product:
        larger = [ConfigEntry("max.message.bytes", "5000000", incremental_operation=AlterConfigOpType.SET)]
        topic = ConfigResource(ConfigResource.Type.TOPIC, "metrics", incremental_configs=larger)
        admin = AdminClient(product.settings.librdkafka())  # its futures end with it
        for future in admin.incremental_alter_configs([topic]).values():
            future.result(20)
        product.port = port
        product.running = product.stream()
        product.apply(policy())
        yield product


def good(topic, service):
    """A record that is right, about a service."""
    now = int(time.time() * 1000)
    if topic == "deploy_events":
        return {"type": "deployed", "service": service, "version": "1"}
    if topic == "instances":
        return {"service": service, "wanted": 2, "ready": 2}
    if topic == CONTROL:
        command = {"kind": "command", "verb": "pause", "service": service, "author": "ann", "reason": "x", "at_ms": now}
        return command | {"until_ms": 0}
    if topic == OUTCOMES:
        return encode(Outcome(id=f"x-0-1-{service}", action=Kind.SCALE, service=service, status=Status.DONE))
    return {"service": service, "cpu": 60}


def places(product, topic):
    """Source places (partition, offset) of all facts that came from a topic."""
    found = set()
    for fact in product.facts(FACTS[topic]):
        source = fact.source
        if source.topic == topic:
            found.update((source.partition, source.first + more) for more in getattr(fact, "offset", [0]))
    return found


def counted(product, topic):
    """How many records of a topic the metrics say were put aside."""
    with urllib.request.urlopen(f"http://127.0.0.1:{product.port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    name = f'headrace_quarantined_total{{topic="{topic}"}} '
    return sum(float(line.removeprefix(name)) for line in lines if line.startswith(name))


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name.replace(" ", "_"))
def test_it_is_put_aside_and_its_neighbours_are_served(product, bad):
    value = bad.value % (time.time() + HOUR_S) if bad.name == "an hour ahead" else bad.value
    before = counted(product, bad.topic)
    offsets = product.send(bad.topic, good(bad.topic, "left"), value, good(bad.topic, "right"))
    aside = wait_for(
        lambda: [q for q in product.watch.quarantined if (q.topic, q.offset) == (bad.topic, offsets[1])], 20
    )
    assert len(aside) == 1
    whole = value or b""
    assert bad.reason in aside[0].reason
    assert (aside[0].partition, aside[0].size, aside[0].sha256) == (0, len(whole), hashlib.sha256(whole).hexdigest())
    assert aside[0].value == whole[:64_000]
    wait_for(lambda: {(0, offsets[0]), (0, offsets[2])} <= places(product, bad.topic), 20, "the neighbours' facts")
    assert (0, offsets[1]) not in places(product, bad.topic)
    assert counted(product, bad.topic) == before + 1
    assert product.running.alive


def test_they_are_listed_with_reason_place_and_bytes(product):
    [offset] = product.send("metrics", b"no json at all", partition=3)
    wait_for(lambda: [q for q in product.watch.quarantined if (q.partition, q.offset) == (3, offset)], 20)
    shown = product.headrace("quarantine", "-n", "1").stdout
    assert f"metrics/3/{offset}" in shown
    assert "JSON" in shown
    assert "no json at all" in shown
    as_json = json.loads(product.headrace("quarantine", "-n", "1", "-o", "json").stdout)
    assert base64.b64decode(as_json["value"]) == b"no json at all"


def test_garbage_on_the_decisions_does_not_stop_the_router_or_the_list(product):
    before = queued(product)
    product.send(DECISIONS, b"garbage", None, b"", b'{"id":1}')
    product.send("instances", {"service": "after", "wanted": 1, "ready": 1})
    product.send("metrics", {"service": "after", "cpu": 92})
    decision = wait_for(lambda: scaling_of(product, "after"), 30, "a decision")
    wait_for(lambda: queued(product) > before, 20, "its task")
    wait_for(lambda: not product.lag("router", DECISIONS), 20, "the router to have committed all")
    assert product.running.text.count("not_a_decision") == 4
    assert decision in product.headrace("decisions", "--service", "after").stdout
    assert "a recorded decision cannot be read" in product.headrace("replay", code=1).stderr


def scaling_of(product, service):
    """The id of the decision to scale a service, out of the log: the reader of this test meets the garbage."""
    lines = [json.loads(line) for line in product.running.text.splitlines() if line.startswith('{"')]
    found = [one for one in lines if one.get("event") == "decision" and one["action"] == "scale"]
    return next((one["id"] for one in found if one["service"] == service), None)


def queued(product):
    """Tasks in the queue `scale`, which no worker takes."""
    with Connection(product.settings.rabbitmq_url) as connection:
        return connection.channel().queue_declare("scale", passive=True).message_count


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_a_producer_may_compress(product, codec):
    config = {"compression.type": codec}
    offsets = product.send(
        "metrics", *({"service": codec, "cpu": 60, "n": n} for n in range(50)), partition=1, **config
    )
    wait_for(lambda: {(1, offset) for offset in offsets} <= places(product, "metrics"), 20, "its samples")


def test_an_aborted_transaction_is_not_read_and_leaves_no_lag(product):
    producer = Producer(product.settings.librdkafka() | {"transactional.id": "test", "acks": "all"})
    producer.init_transactions(20)
    offsets = {"kept": [], "aborted": []}
    for name in ("aborted", "kept", "aborted"):
        producer.begin_transaction()
        for _ in range(3):
            value = json.dumps({"service": name, "cpu": 60})
            producer.produce(
                "metrics", value, partition=2, on_delivery=lambda _, m, n=name: offsets[n].append(m.offset())
            )
        producer.flush(20)
        (producer.commit_transaction if name == "kept" else producer.abort_transaction)(20)
    assert len(offsets["aborted"]) == 6
    wait_for(lambda: product.lag("intake", "metrics") == 0, 30, "the lag to be 0")
    found = places(product, "metrics")
    assert {(2, offset) for offset in offsets["kept"]} <= found
    assert not {(2, offset) for offset in offsets["aborted"]} & found


def test_it_ran_through_all_of_it(product):
    assert product.running.alive
    assert "Traceback" not in product.running.text
    assert len(product.processes.started) == 1
