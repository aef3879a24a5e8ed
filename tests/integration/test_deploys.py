"""Deploys and changes through the whole of it: to four downstream services and a foreign consumer, once each."""

import json
import threading
from collections import Counter
from contextlib import suppress
from time import time

import pika
import pytest
from sqlalchemy import create_engine, select

from app.local.grafana import Dashboard
from app.local.haproxy import HAProxy
from app.stream import client
from app.stream.topics import DECISIONS
from tasks.clients.books.tables import COSTS
from tasks.contract import Kind, Status
from tests.integration.test_downstream import had
from tests.processes import wait_for
from tests.product import Product

ROUTE = """
apiVersion: headrace/v1
kind: Route
metadata: {name: deploys}
spec:
  events: [pod_started, pod_stopped, deployed, deploy_failed, rolled_back, config_changed]
  to:
    loadBalancer: {balancer: edge}
    annotate: {dashboard: main}
    notify: {receiver: team}
    cost: {book: main}
"""


class Foreign(threading.Thread):
    """Somebody else's service: a queue of its own, plain JSON, and no line of ours."""

    def __init__(self, url):
        super().__init__(daemon=True)
        self.url, self.events, self.keys = url, [], []
        connection = pika.BlockingConnection(pika.URLParameters(url))
        channel = connection.channel()
        self.queue = channel.queue_declare("foreign", durable=True, arguments={"x-queue-type": "quorum"}).method.queue
        channel.queue_purge(self.queue)
        channel.queue_bind(self.queue, "downstream_actions", "event.*.prod.#")
        channel.queue_bind(self.queue, "downstream_actions", "event.config_changed.#")
        connection.close()
        self.start()

    def run(self):
        with suppress(pika.exceptions.AMQPError):  # the server ends with the session
            self.read(pika.BlockingConnection(pika.URLParameters(self.url)))

    def heard(self):
        """(service, type, version) of each event so far."""
        return [(one["service"], one["event"], one["version"]) for one in list(self.events)]

    def read(self, connection):
        for method, properties, body in connection.channel().consume(self.queue, auto_ack=True):
            assert properties.message_id == json.loads(body)["id"]
            self.events.append(json.loads(body))
            self.keys.append(method.routing_key)


class Downstream(Product):
    """The product with a load balancer, a dashboard, a book and a foreign consumer."""

    def __init__(self, servers, directory):
        super().__init__(servers, directory, HEADRACE_TARGETS_FILE=str(directory / "all.toml"), HEADRACE_LEASE_S="3")
        self.haproxy = HAProxy(directory / "balancer", ["web", "api"])
        self.dashboard = Dashboard()
        self.book = directory / "costs.db"

    def __enter__(self):
        super().__enter__()
        self.haproxy.start()
        self.dashboard.__enter__()
        (self.directory / "all.toml").write_text(
            f'[receivers]\nteam = "json{self.receiver.url.removeprefix("http")}"\n'
            f'[balancers]\nedge = "{self.haproxy.url}"\n'
            f'[dashboards.main]\nurl = "{self.dashboard.url}"\n'
            f'[books.main]\nurl = "sqlite:///{self.book}"\nprices = {{default = 0.05}}\n'
        )
        self.foreign = Foreign(self.settings.rabbitmq_url)
        self.stream()
        self.worker()
        self.apply(ROUTE)
        return self

    def __exit__(self, *args):
        super().__exit__(*args)
        self.dashboard.__exit__()
        self.haproxy.thaw()
        self.haproxy.kill()

    def event(self, kind, times=1, **more):
        given = {"type": kind, "service": "web", "environment": "prod", "time": time()} | more
        self.send("deploy_events", *[given] * times)

    def ended(self, count):
        """Outcomes by kind, once that many actions have ended."""
        wait_for(lambda: len(self.watch.tally.outcomes) >= count, 60, f"{count} outcomes")
        return Counter((one.action, one.status) for one in self.watch.tally.outcomes.values())

    def told(self, version):
        """What the dashboard and what people heard of a version, how often each."""
        heard = (self.dashboard.annotations, self.receiver.bodies)
        return tuple(sum(version in str(one) for one in ones) for ones in heard)

    def costs(self):
        engine = create_engine(f"sqlite:///{self.book}")
        with engine.connect() as db:
            found = db.execute(select(COSTS)).mappings().all()
        engine.dispose()
        return found

    def again(self):
        """Put every decision on its topic once more, as a stream side that crashed would."""
        low, high = client.borders(self.settings, DECISIONS)
        messages = list(client.read_topic(self.settings, DECISIONS, low, high))
        client.send(self.settings, [client.Outgoing(DECISIONS, m.value, m.key, m.partition) for m in messages])


@pytest.fixture(scope="module")
def product(session, tmp_path_factory):
    had(HAProxy)
    with Downstream(session.have("kafka", "rabbitmq", "redis"), tmp_path_factory.mktemp("deploys")) as running:
        yield running


def test_a_deploy_reaches_all_four_and_the_foreign_consumer_once_though_all_comes_three_times(product):
    product.event("deploy_started", version="2", commit="9fceb02", team="shop", who="ann", link="https://ci/7", id="s")
    for number in (1, 2):
        product.event(
            "pod_started", 3, version="2", pod=f"web-{number}", address=f"127.0.0.1:900{number}", id=f"p{number}"
        )
    product.event("deployed", 3, version="2", id="d")
    product.ended(12)
    product.again()
    product.again()
    wait_for(lambda: product.lag("router", DECISIONS) == 0, 60, "the decisions to be routed again")
    wait_for(lambda: product.watch.tally.repeated_outcomes >= 24, 60, "two repeats of each task")

    assert product.ended(12) == {
        (Kind.LOAD_BALANCER, Status.DONE): 2, (Kind.LOAD_BALANCER, Status.SKIPPED): 1,
        (Kind.ANNOTATE, Status.DONE): 3, (Kind.NOTIFY, Status.DONE): 3, (Kind.COST, Status.DONE): 3,
    }  # fmt: skip
    assert product.haproxy.serving("web") == ["127.0.0.1:9001", "127.0.0.1:9002"]
    marks = Counter(tag for one in product.dashboard.annotations for tag in one["tags"] if tag.count("-") >= 3)
    assert sorted(marks.values()) == [1, 1, 1]
    assert len([one for one in product.receiver.bodies if "2 is deployed" in one]) == 1
    assert len(product.receiver.bodies) == 3
    assert [row["replicas"] for row in sorted(product.costs(), key=lambda row: row["at_ms"])] == [1, 2, 2]
    assert product.reasons().count("EVENT_REPEATED") == 6

    wait_for(lambda: ("web", "deployed", "2") in product.foreign.heard(), 20, "the event")
    seen = {one["id"]: one for one in product.foreign.events}
    assert sorted(one["event"] for one in seen.values()) == ["deploy_started", "deployed", "pod_started", "pod_started"]
    (deployed,) = [one for one in seen.values() if one["event"] == "deployed"]
    known = {name: deployed[name] for name in ("version", "commit", "team", "who", "link", "replicas")}
    assert known == {
        "version": "2", "commit": "9fceb02", "team": "shop", "who": "ann", "link": "https://ci/7", "replicas": 2
    }  # fmt: skip
    assert "event.deployed.prod.web" in product.foreign.keys


def test_the_next_deploy_knows_what_it_replaces_and_the_balancer_leaves_the_old_instances(product):
    before = len(product.watch.tally.outcomes)
    product.event("pod_started", version="3", pod="web-3", address="127.0.0.1:9003")
    product.event("deployed", version="3")
    product.ended(before + 8)
    assert product.haproxy.serving("web") == ["127.0.0.1:9003"]
    wait_for(lambda: ("web", "deployed", "3") in product.foreign.heard(), 20, "the event")
    (deployed,) = [one for one in product.foreign.events if (one["event"], one["version"]) == ("deployed", "3")]
    assert deployed["previous_version"] == "2"


def test_cdevents_and_a_deploy_of_an_unknown_service_go_the_same_way(product):
    cdevent = {
        "context": {"type": "dev.cdevents.service.deployed.0.2.0", "id": "7", "source": "/ci"},
        "subject": {"id": "api", "content": {"environment": {"id": "prod"}, "artifactId": "pkg:oci/api@1"}},
    }
    pod = {
        "context": {"type": "dev.cdeventsx.shipper-pod.started.0.1.0", "id": "8", "source": "/shipper"},
        "subject": {
            "id": "api-1",
            "content": {"service": {"id": "api"}, "environment": {"id": "prod"}, "address": "127.0.0.1:9009"},
        },
    }  # fmt: skip
    product.send("deploy_events", cdevent, pod)
    wait_for(lambda: product.haproxy.serving("api") == ["127.0.0.1:9009"], 60, "the balancer")
    seen = ("api", "deployed", "pkg:oci/api@1")
    wait_for(lambda: seen in product.foreign.heard(), 20, "the event")
    wait_for(lambda: "NO_BACKENDS" in product.reasons(), 20, "a refusal: its first event named no instance")


def test_deploys_out_of_order_are_published_as_late_and_change_nothing(product):
    serving = product.haproxy.serving("web")
    product.event("deployed", version="2.5", time=time() - 3600)
    product.event("pod_started", version="2.5", pod="web-9", address="127.0.0.1:9", time=time() - 3600)
    wait_for(lambda: product.reasons().count("EVENT_LATE") == 2, 60, "both to be late")
    wait_for(lambda: sum(one["late"] for one in product.foreign.events) == 2, 20, "the events")
    assert product.haproxy.serving("web") == serving


def test_an_unknown_event_is_in_quarantine_and_its_neighbours_are_served(product):
    before = len(product.watch.quarantined)
    product.event("exploded")
    product.event("config_changed", what="timeout 5 s", who="bob", environment="")
    wait_for(lambda: len(product.watch.quarantined) == before + 1, 60, "the quarantine")
    assert "'exploded' is not known" in product.watch.quarantined[-1].reason
    wait_for(lambda: "event.config_changed.none.web" in product.foreign.keys, 60, "the change")
    wait_for(lambda: any("timeout 5 s" in one for one in product.receiver.bodies), 60, "people to be told")


@pytest.mark.parametrize("fault", ["kill", "freeze"])
def test_a_balancer_that_is_down_or_hangs_holds_nobody_else_and_is_served_when_it_is_back(product, fault):
    getattr(product.haproxy, fault)()
    address, version = f"127.0.0.1:91{len(fault)}0", f"4-{fault}"
    product.event("pod_started", version=version, pod="web-4", address=address)
    product.event("deployed", version=version)
    wait_for(lambda: product.told(version) == (2, 2), 30, "both events on the dashboard and to people")
    product.haproxy.thaw()
    product.haproxy.start()
    wait_for(lambda: address in product.haproxy.serving("web"), 60, "the balancer to be served")


def test_everything_that_was_decided_has_ended_and_nothing_is_dead(product):
    wait_for(lambda: not product.watch.tally.missing(int(time() * 1000)), 60, "every action to end")
    statuses = {one.status for one in product.watch.tally.outcomes.values()}
    assert statuses <= {Status.DONE, Status.SKIPPED, Status.CONFLICT}
    assert "equal" in product.headrace("replay").stdout.splitlines()[0]
