"""The publisher on a real RabbitMQ: nothing that was awaited is missing, whatever happens to the server."""

import asyncio
import re
from contextlib import contextmanager
from time import sleep
from urllib.parse import urlsplit

import pytest
import structlog
from kombu import Connection

from app import metrics
from app.queue import api, link, topology
from app.queue.message import of_action
from app.queue.publisher import Publisher
from tasks.contract import DEAD_QUEUE, EXCHANGE, QUEUES, Kind, Notify, Scale, decode_action
from tests.faults import Proxy

COUNT = 2000

PLAIN_WORKER = """\
import json, os
from celery import Celery
from kombu import Queue

app = Celery("plain", broker=os.environ["PLAIN_URL"])
app.conf.task_queues = [Queue("scale", no_declare=True, queue_arguments={"x-queue-type": "quorum"})]
app.conf.task_acks_late = True

@app.task(name="actions.scale", bind=True)
def scale(self, action):
    with open(os.environ["PLAIN_OUT"], "a") as out:
        print(self.request.id, json.dumps(action), file=out)
"""


def messages(count=COUNT):
    same = {"service": "web", "decided_at_ms": 1, "expires_at_ms": 2, "from_replicas": 1, "to_replicas": 2}
    return [of_action(Scale(id=f"j-0-{i}-0", generation=i, **same)) for i in range(count)]


def received(url, queue=QUEUES[Kind.SCALE]):
    """Ids in a queue, in order, taken out of it."""
    ids = []
    with Connection(url) as connection:
        channel = connection.channel()
        while (message := channel.basic_get(queue, no_ack=True)) is not None:
            ids.append(message.properties["message_id"])
    return ids


def retries():
    return metrics.PUBLISH_RETRIES._value.get()


def depth(url, queue=QUEUES[Kind.SCALE]):
    with Connection(url) as connection:
        return connection.channel().queue_declare(queue, passive=True).message_count


@pytest.fixture
def publish(clean):
    """Publish batches while `meanwhile` happens; how many publications had to be tried again."""
    started = []

    def run(batches, url=clean.rabbitmq_url, meanwhile=None):
        publisher = Publisher(url)
        publisher.start()
        started.append(publisher)
        before = retries()

        async def main():
            tasks = [asyncio.create_task(publisher.publish(batch)) for batch in batches]
            if meanwhile:
                await asyncio.sleep(0.05)
                await asyncio.to_thread(meanwhile)
            await asyncio.gather(*tasks)

        asyncio.run(asyncio.wait_for(main(), 60))
        return retries() - before

    yield run
    for publisher in started:
        publisher.stop()


@contextmanager
def proxied(settings):
    """A proxy before RabbitMQ, and the address through it."""
    port = urlsplit(settings.rabbitmq_url).port
    with Proxy(port) as proxy:
        yield proxy, settings.rabbitmq_url.replace(f":{port}/", f":{proxy.port}/")


def test_what_was_awaited_is_in_the_queue_once_and_in_order(publish, clean):
    sent = messages()
    assert publish([sent[:700], sent[700:701], sent[701:]]) == 0
    assert received(clean.rabbitmq_url) == [message.id for message in sent]


def test_nothing_is_lost_when_connections_break(publish, clean, wait_for):
    sent = messages()
    with proxied(clean) as (proxy, url):

        def cut():
            for _ in range(5):
                wait_for(lambda: proxy.connections, 10, "the publisher comes back")
                proxy.cut()

        publish([sent[i : i + 100] for i in range(0, COUNT, 100)], url, cut)
    assert set(received(clean.rabbitmq_url)) == {message.id for message in sent}


def test_a_network_that_swallows_everything_is_given_up_and_tried_again(publish, clean, wait_for, monkeypatch):
    monkeypatch.setattr(link, "SILENCE_S", 1.0)
    sent = messages()
    with proxied(clean) as (proxy, url):
        proxy.delay(0.05)

        def swallow():
            wait_for(lambda: depth(clean.rabbitmq_url) > 0, 10, "publishing began")
            proxy.hole()
            sleep(2.0)
            proxy.heal()

        assert publish([sent], url, swallow) > 0
    assert set(received(clean.rabbitmq_url)) == {message.id for message in sent}


def test_nothing_is_lost_when_rabbitmq_is_killed(publish, clean, rabbitmq):
    sent = messages()

    def kill():
        rabbitmq.kill()
        rabbitmq.start()

    again = publish([sent[i : i + 100] for i in range(0, COUNT, 100)], meanwhile=kill)
    assert set(received(clean.rabbitmq_url)) == {message.id for message in sent}
    assert again > 0, "the server was not missed: the test proves nothing"


def test_a_frozen_rabbitmq_holds_publishing_back_and_loses_nothing(publish, clean, rabbitmq):
    sent = messages()

    def freeze():
        rabbitmq.freeze()
        sleep(5.0)
        rabbitmq.thaw()

    publish([sent[i : i + 100] for i in range(0, COUNT, 100)], meanwhile=freeze)
    assert set(received(clean.rabbitmq_url)) == {message.id for message in sent}


def test_a_message_that_no_queue_takes_waits_until_one_does(publish, apart):
    with Connection(apart.rabbitmq_url) as connection:
        connection.channel().queue_delete(QUEUES[Kind.NOTIFY])
    one = of_action(
        Notify(id="n", service="web", decided_at_ms=1, expires_at_ms=2, receiver="team", title="t", body="b")
    )
    scales = messages(3)
    assert publish([[scales[0], one, *scales[1:]]], apart.rabbitmq_url, meanwhile=lambda: topology.init(apart)) > 0
    assert received(apart.rabbitmq_url, QUEUES[Kind.NOTIFY]) == ["n"]
    assert received(apart.rabbitmq_url) == [message.id for message in scales], "its neighbours went, once"


def test_a_missing_exchange_is_one_line_that_says_what_to_do(publish, apart):
    with Connection(apart.rabbitmq_url) as connection:
        connection.channel().exchange_delete(EXCHANGE)
    with structlog.testing.capture_logs() as lines:
        assert publish([messages(3)], apart.rabbitmq_url, meanwhile=lambda: (sleep(1.0), topology.init(apart))) > 0
    told = [line["why"] for line in lines if line["event"] == "publishing_stands_still"]
    assert len(told) == 1, "one line for one outage, however many tries"
    assert told[0].endswith("has no exchange downstream_actions; make it with `headrace queues init`")
    assert [line["event"] for line in lines][-1] == "publishing_again"
    assert len(received(apart.rabbitmq_url)) == 3


def test_a_full_queue_refuses_and_gets_everything_when_there_is_room(publish, clean):
    name = "small"
    api.call(clean, "PUT", f"policies/{{vhost}}/{name}", {
        "pattern": f"^{QUEUES[Kind.SCALE]}$", "apply-to": "queues", "priority": 20,
        "definition": {"max-length": 5, "overflow": "reject-publish"},
    })  # fmt: skip

    def make_room():
        sleep(1.0)
        api.call(clean, "DELETE", f"policies/{{vhost}}/{name}")

    sent = messages(50)
    assert publish([[one] for one in sent], meanwhile=make_room) > 0
    assert sorted(received(clean.rabbitmq_url)) == sorted(message.id for message in sent), "each once"


def test_whoever_stops_waiting_does_not_stop_the_publisher(clean):
    publisher = Publisher(clean.rabbitmq_url)
    publisher.start()
    sent = messages(600)

    async def main():
        first = asyncio.create_task(publisher.publish(sent[:500]))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        await publisher.publish(sent[500:])

    asyncio.run(asyncio.wait_for(main(), 20))
    publisher.stop()
    assert {message.id for message in sent[500:]} <= set(received(clean.rabbitmq_url))


def test_stopped_while_rabbitmq_is_away_it_ends_and_says_so_to_those_who_wait():
    publisher = Publisher("amqp://127.0.0.1:1//")
    publisher.start()

    async def main():
        waiting = [asyncio.create_task(publisher.publish(messages(1))) for _ in range(2)]
        await asyncio.sleep(0.3)
        await asyncio.to_thread(publisher.stop)
        assert all(isinstance(one, asyncio.CancelledError) for one in await gathered(*waiting))
        with pytest.raises(asyncio.CancelledError):
            await publisher.publish(messages(1))

    def gathered(*tasks):
        return asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(asyncio.wait_for(main(), 20))
    assert not publisher._thread.is_alive()


def test_an_unmodified_celery_worker_runs_what_is_published(publish, clean, processes, wait_for, tmp_path):
    (tmp_path / "plain.py").write_text(PLAIN_WORKER)
    env = {"PLAIN_URL": clean.rabbitmq_url, "PLAIN_OUT": str(tmp_path / "out"), "PYTHONPATH": str(tmp_path)}
    processes.start(["celery", "-A", "plain", "worker", "-l", "info", "-P", "solo"], env)
    sent = messages(5)
    publish([sent])
    out = tmp_path / "out"
    wait_for(lambda: out.exists() and len(out.read_text().splitlines()) == 5, 60, "the worker ran all five")
    ran = [line.split(" ", 1) for line in out.read_text().splitlines()]
    assert [task_id for task_id, _ in ran] == [message.id for message in sent]
    assert [decode_action(raw).generation for _, raw in ran] == list(range(5))


def test_check_names_what_is_missing_and_init_mends_it(apart):
    assert topology.check(apart) == []
    with Connection(apart.rabbitmq_url) as connection:
        connection.channel().queue_delete(QUEUES[Kind.SCALE])
    assert [re.sub(r";.*", "", line) for line in topology.check(apart)] == ["queue scale is missing"]
    topology.init(apart)
    api.call(apart, "DELETE", "policies/{vhost}/headrace-actions")
    assert "has no policy headrace-actions" in topology.check(apart)[0]
    with Connection(apart.rabbitmq_url) as connection:
        connection.channel().queue_unbind(QUEUES[Kind.SCALE], EXCHANGE, "action.scale.#")
    topology.init(apart)
    assert topology.check(apart) == []


def test_a_wrong_password_and_a_wrong_address_are_a_sentence_each(clean):
    wrong = clean.model_copy(update={"rabbitmq_url": clean.rabbitmq_url.replace(":headrace@", ":guess@")})
    (line,) = topology.check(wrong)
    assert "refuses the user or password" in line
    assert "guess" not in line
    nowhere = clean.model_copy(update={"rabbitmq_url": "amqp://127.0.0.1:1//"})
    assert "does not answer" in topology.check(nowhere)[0]


def test_a_queue_of_another_type_is_told(apart):
    name = QUEUES[Kind.BUILD]
    with Connection(apart.rabbitmq_url) as connection:
        channel = connection.channel()
        channel.queue_delete(name)
        channel.queue_declare(name, durable=True, auto_delete=False)
    try:
        assert f"queue {name} is no quorum queue" in topology.check(apart)[0]
        with pytest.raises(topology.TopologyError, match="another shape"):
            topology.init(apart)
    finally:
        with Connection(apart.rabbitmq_url) as connection:
            connection.channel().queue_delete(name)
        topology.init(apart)
    assert topology.check(apart) == []


def test_a_policy_that_somebody_changed_is_told_and_mended(apart):
    changed = {**topology.POLICIES["headrace-actions"], "pattern": "^scale$"}
    api.call(apart, "PUT", "policies/{vhost}/headrace-actions", changed)
    assert "headrace-actions" in topology.check(apart)[0]
    topology.init(apart)
    assert topology.check(apart) == []


def test_without_the_management_api_the_queues_are_made_and_the_missing_policy_is_told(apart):
    alone = apart.model_copy(update={"rabbitmq_api": "http://127.0.0.1:1"})
    with Connection(apart.rabbitmq_url) as connection:
        connection.channel().queue_delete(QUEUES[Kind.NOTIFY])
    with pytest.raises(topology.TopologyError, match="the queues are made, their policy is not") as told:
        topology.init(alone)
    assert topology.by_hand("headrace-actions") in str(told.value)
    assert topology.check(apart) == []


def test_a_rejected_message_reaches_the_dead_letters(publish, clean, wait_for):
    publish([messages(1)])
    with Connection(clean.rabbitmq_url) as connection:
        channel = connection.channel()
        channel.basic_reject(channel.basic_get(QUEUES[Kind.SCALE]).delivery_tag, requeue=False)
        wait_for(lambda: channel.queue_declare(DEAD_QUEUE, passive=True).message_count == 1, 10, "a dead letter")
    assert received(clean.rabbitmq_url, DEAD_QUEUE) == ["j-0-0-0"]
