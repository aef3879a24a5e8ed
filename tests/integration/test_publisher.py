"""The publisher on a real RabbitMQ: nothing that was awaited is missing, whatever happens to the server."""

import asyncio
import re
from urllib.parse import urlsplit

import pytest
from kombu import Connection

from app.queue import topology
from app.queue.message import of_action
from app.queue.publisher import Publisher
from tasks.contract import EXCHANGE, QUEUES, Kind, Notify, Scale
from tests.faults import Proxy

COUNT = 2000


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


@pytest.fixture
def publish(clean):
    """Publish messages while `meanwhile` happens; the publisher."""
    started = []

    def run(batches, url=clean.rabbitmq_url, meanwhile=None):
        publisher = Publisher(url)
        publisher.start()
        started.append(publisher)

        async def main():
            tasks = [asyncio.create_task(publisher.publish(batch)) for batch in batches]
            if meanwhile:
                await asyncio.sleep(0.05)
                await asyncio.to_thread(meanwhile)
            await asyncio.gather(*tasks)

        asyncio.run(asyncio.wait_for(main(), 60))
        return publisher

    yield run
    for publisher in started:
        publisher.stop()


def test_what_was_awaited_is_in_the_queue_once_and_in_order(publish, clean):
    sent = messages()
    publisher = publish([sent[:700], sent[700:701], sent[701:]])
    assert received(clean.rabbitmq_url) == [message.id for message in sent]
    assert publisher.retried == 0


def test_nothing_is_lost_when_connections_break(publish, clean):
    sent = messages()
    parts = urlsplit(clean.rabbitmq_url)
    with Proxy(parts.port) as proxy:
        url = clean.rabbitmq_url.replace(f":{parts.port}/", f":{proxy.port}/")

        def cut():
            for _ in range(5):
                proxy.cut()

        publish([sent[i : i + 100] for i in range(0, COUNT, 100)], url, cut)
    assert set(received(clean.rabbitmq_url)) == {message.id for message in sent}


def test_nothing_is_lost_when_rabbitmq_is_killed_or_frozen(publish, clean, rabbitmq):
    sent = messages()

    def kill():
        rabbitmq.kill()
        rabbitmq.start()
        rabbitmq.freeze()
        rabbitmq.thaw()

    publisher = publish([sent[i : i + 100] for i in range(0, COUNT, 100)], meanwhile=kill)
    found = received(clean.rabbitmq_url)
    assert set(found) == {message.id for message in sent}
    assert publisher.retried > 0, "the server was not missed: the test proves nothing"


def test_a_message_that_no_queue_takes_waits_until_one_does(publish, clean):
    with Connection(clean.rabbitmq_url) as connection:
        connection.channel().queue_delete(QUEUES[Kind.NOTIFY])
    one = of_action(
        Notify(id="n", service="web", decided_at_ms=1, expires_at_ms=2, receiver="team", title="t", body="b")
    )
    publisher = publish([[one]], meanwhile=lambda: topology.init(clean))
    assert received(clean.rabbitmq_url, QUEUES[Kind.NOTIFY]) == ["n"]
    assert publisher.retried > 0


def test_a_full_queue_refuses_and_gets_everything_when_there_is_room(publish, clean):
    name = "small"
    topology._call(clean, "PUT", f"policies/{{vhost}}/{name}", {
        "pattern": f"^{QUEUES[Kind.SCALE]}$", "apply-to": "queues", "priority": 20,
        "definition": {"max-length": 5, "overflow": "reject-publish"},
    })  # fmt: skip
    taken = []

    def make_room():
        import time

        time.sleep(1.0)
        topology._call(clean, "DELETE", f"policies/{{vhost}}/{name}")

    sent = messages(50)
    publisher = publish([[one] for one in sent], meanwhile=make_room)
    taken += received(clean.rabbitmq_url)
    assert set(taken) == {message.id for message in sent}
    assert publisher.retried > 0


def test_check_names_what_is_missing_and_init_mends_it(clean):
    assert topology.check(clean) == []
    with Connection(clean.rabbitmq_url) as connection:
        connection.channel().queue_delete(QUEUES[Kind.SCALE])
    assert [re.sub(r";.*", "", line) for line in topology.check(clean)] == ["queue scale is missing"]
    topology.init(clean)
    topology._call(clean, "DELETE", "policies/{vhost}/headrace-actions")
    assert "has no policy headrace-actions" in topology.check(clean)[0]
    with Connection(clean.rabbitmq_url) as connection:
        connection.channel().queue_unbind(QUEUES[Kind.SCALE], EXCHANGE, "action.scale.#")
    topology.init(clean)
    assert topology.check(clean) == []


def test_a_wrong_password_and_a_wrong_address_are_a_sentence_each(clean):
    wrong = clean.model_copy(update={"rabbitmq_url": clean.rabbitmq_url.replace(":headrace@", ":guess@")})
    (line,) = topology.check(wrong)
    assert "refuses the user or password" in line
    assert "guess" not in line
    nowhere = clean.model_copy(update={"rabbitmq_url": "amqp://127.0.0.1:1//"})
    assert "does not answer" in topology.check(nowhere)[0]
