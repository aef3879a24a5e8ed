"""Metrics to scaling, on real servers, with the commands that people type."""

import json
import signal
import time

import pytest
from confluent_kafka.admin import AdminClient

from app.policy.facts import Reported, Samples, partition_of
from app.policy.state import unpack
from app.stream import client
from app.stream.topics import DECISIONS, JOURNAL
from tests.processes import last_lines, wait_for
from tests.product import Product, policy

pytestmark = pytest.mark.timeout(150)


@pytest.fixture(scope="module")
def product(session, tmp_path_factory):
    servers = session.have("kafka", "rabbitmq", "redis")
    with Product(servers, tmp_path_factory.mktemp("flows")) as product:
        product.worker()
        product.running = product.stream()
        product.apply(policy())
        yield product


@pytest.fixture
def stream(product):
    """One Faust worker with the three apps, shared by the tests that leave it as it is."""
    if not product.running.alive:
        product.running = product.stream()
    return product.running


@pytest.fixture
def stopped(product):
    """The product without its stream side; what the test starts of it ends with the test."""
    product.running.stop(10)
    before = len(product.processes.started)
    yield product
    for one in product.processes.started[before:]:
        one.stop(10)


def heat(product, service, cpu=92, replicas=2):
    """Say how many replicas there are, and that they are hot, until they are scaled. The decision."""
    now = int(time.time() * 1000)
    product.send("instances", {"service": service, "wanted": replicas, "ready": replicas, "at": now})
    product.send("metrics", *({"host": f"{service}-{n:02d}", "cpu": cpu} for n in range(1, replicas + 1)))
    return wait_for(lambda: product.scalings(service), 60, f"a scaling of {service}")[0]


def done(product, decision):
    """The outcome of a decision."""
    return wait_for(lambda: product.watch.tally.outcomes.get(decision.id), 30, f"the outcome of {decision.id}")


def test_a_plain_message_of_an_agent_ends_as_replicas_told_and_remembered(product, stream):
    [offset] = product.send("metrics", {"host": "web-03", "cpu": 92}, partition=1)
    decision = wait_for(lambda: product.scalings("web"), 40, "a scaling of web")[0]
    assert (decision.reason, decision.action.from_replicas, decision.action.to_replicas) == ("ABOVE_TARGET", 1, 2)
    samples = [one for one in product.facts(Samples) if one.series[0].service == "web"]
    assert [(one.source.topic, one.source.partition, one.source.first) for one in samples] == [("metrics", 1, offset)]
    outcome = done(product, decision)
    assert (outcome.status, outcome.action, outcome.set) == ("done", "scale", 2)
    assert product.replicas("web") == 2
    wait_for(lambda: decision.id in [one.outcome.id for one in product.facts(Reported)], 20, "the outcome as a fact")
    wait_for(lambda: any(decision.id in body for body in product.receiver.bodies), 20, "people to be told")
    observed = wait_for(lambda: remembered(product, "web")["observed"], 20, "the outcome in the state")
    assert (observed["replicas"], observed["generation"]) == (2, decision.action.generation)
    assert remembered(product, "web")["pending"] is None


def remembered(product, service):
    """What `headrace state` says the engine remembers of a service."""
    return json.loads(product.headrace("state", service, "-o", "json").stdout)["memory"]


def test_a_full_message_is_read_as_it_is_meant(product, stream):
    now = int(time.time())
    message = {"service": "shop", "timestamp": now, "labels": {"zone": "a"}, "cpu": 92, "rps": 120.5}
    product.send("instances", {"service": "shop", "wanted": 1, "ready": 1})
    product.send("metrics", message)
    decision = wait_for(lambda: product.scalings("shop"), 30, "a scaling of shop")[0]
    assert decision.action.to_replicas == 2
    assert decision.evidence["sample_at_ms"] == now * 1000
    [pack] = [one for one in product.facts(Samples) if one.series[0].service == "shop"]
    assert {(one.name, value) for one, value in zip(pack.series, pack.value, strict=True)} == {
        ("cpu", 92),
        ("rps", 120.5),
    }
    assert [one.labels for one in pack.series] == [{"zone": "a"}] * 2
    assert done(product, decision).status == "done"


def test_an_array_of_messages_is_each_of_them(product, stream):
    product.send("instances", *({"service": name, "wanted": 1, "ready": 1} for name in ("basket", "search")))
    product.send("metrics", [{"host": "basket-1", "cpu": 92}, {"service": "search", "values": {"cpu": 92}}])
    for name in ("basket", "search"):
        decision = wait_for(lambda name=name: product.scalings(name), 30, f"a scaling of {name}")[0]
        assert done(product, decision).set == product.replicas(name) == 2


def test_the_apps_in_processes_of_their_own_do_the_same(product, stopped):
    apps = [product.stream(f"app.{name}") for name in ("intake", "autoscaler", "router")]
    decision = heat(product, "alone")
    assert (decision.action.from_replicas, decision.action.to_replicas, decision.reason) == (2, 4, "ABOVE_TARGET")
    assert done(product, decision).status == "done"
    assert product.replicas("alone") == 4
    for app in apps:
        app.stop(10)
    assert [app.code for app in apps] == [0, 0, 0], [last_lines(app) for app in apps]


def test_without_rabbitmq_decisions_are_recorded_and_nothing_is_done(product, stopped):
    stream = product.stream(HEADRACE_RABBITMQ_URL="")
    decision = heat(product, "quiet")
    _, end = client.borders(product.settings, DECISIONS)
    partition = partition_of("quiet", 4)
    wait_for(lambda: product.lag("intake", "metrics") == 0, 20, "the sample to be committed")
    stream.stop(10)
    assert stream.code == 0, last_lines(stream)
    routed = client.committed(product.settings, "router", DECISIONS).get(partition, 0)
    assert routed < end[partition]  # it waits there for a router to come
    assert decision.id not in product.watch.tally.outcomes
    assert product.replicas("quiet") == 0


def test_two_workers_share_the_partitions_and_one_goes_on_alone(product, stopped):
    first = product.stream(HEADRACE_DATADIR=str(product.directory / "first"))
    second = product.stream(HEADRACE_DATADIR=str(product.directory / "second"))
    wait_for(lambda: shares(product) == [2, 2], 60, f"both to have a share of the journal: {shares(product)}")
    names = [next(f"both{n}" for n in range(99) if partition_of(f"both{n}", 4) == p) for p in range(4)]
    for name in names:
        assert done(product, heat(product, name)).status == "done"
    first.stop(10)
    assert first.code == 0, last_lines(first)
    names = [next(f"one{n}" for n in range(99) if partition_of(f"one{n}", 4) == p) for p in range(4)]
    for name in names:
        assert done(product, heat(product, name)).status == "done"
    assert shares(product) == [4]
    second.stop(10)


def shares(product):
    """How many partitions of the journal each auto-scaler has."""
    admin = AdminClient(product.settings.librdkafka())
    group = admin.describe_consumer_groups(["auto-scaler"])["auto-scaler"].result(20)
    owned = [member.assignment.topic_partitions for member in group.members if member.assignment]
    return sorted(sum(one.topic == JOURNAL for one in mine) for mine in owned)


def test_asked_to_end_it_ends_soon_with_everything_committed(product, stream):
    assert done(product, heat(product, "last")).status == "done"
    wait_for(lambda: not product.lags(), 30, f"the lag to be 0: {product.lags()}")
    began = time.monotonic()
    stream.signal(signal.SIGTERM)
    wait_for(lambda: not stream.alive, 10, "it to end")
    print(f"ended after {time.monotonic() - began:.1f} s")
    assert stream.code == 0, last_lines(stream)
    assert "Traceback" not in stream.text
    assert product.lags() == {}
    committed = client.committed(product.settings, "auto-scaler", JOURNAL)
    assert committed == {p: unpack(raw).next_offset for p, raw in product.states().items()}
    assert product.lag("auto-scaler", JOURNAL) <= 2 * 4  # the ticks of the end, by the intake that ends after it
