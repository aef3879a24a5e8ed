"""How fast actions get to RabbitMQ: the publisher beside Celery's own `apply_async`, in one run.

Both wait for RabbitMQ's confirms and both are mandatory; rates differ from machine to machine, so
the ratio is what to look at.
"""

import asyncio
import json
from statistics import median
from time import perf_counter

from celery import Celery
from kombu import Connection

from app.queue.message import argument, of_action
from app.queue.publisher import Publisher
from tasks.contract import EXCHANGE, QUEUES, Kind, Scale, task_name

OURS = 5_000
THEIRS = 500
ROUNDS = 3


def messages(count):
    same = {"service": "web", "decided_at_ms": 1, "expires_at_ms": 2, "from_replicas": 1, "to_replicas": 2}
    return [of_action(Scale(id=f"j-0-{i}-0", generation=i, **same)) for i in range(count)]


def nothing(action):
    pass


def with_publisher(publisher, sent):
    began = perf_counter()
    asyncio.run(publisher.publish(sent))
    return len(sent) / (perf_counter() - began)


def with_celery(app, sent):
    task = app.tasks[task_name(Kind.SCALE)]
    arguments = [argument(message.body) for message in sent]
    began = perf_counter()
    for message, action in zip(sent, arguments, strict=True):
        task.apply_async(
            (action,), task_id=message.id, exchange=EXCHANGE, routing_key=message.routing_key, mandatory=True,
            confirm_timeout=10,
        )  # fmt: skip
    return len(sent) / (perf_counter() - began)


def emptied(url):
    with Connection(url) as connection:
        return connection.channel().queue_purge(QUEUES[Kind.SCALE])


def test_the_publisher_beside_apply_async(clean, record_property):
    url = clean.rabbitmq_url
    app = Celery("bench", broker=url, set_as_current=False)
    app.conf.update(
        broker_transport_options={"confirm_publish": True, "read_timeout": 10},
        task_ignore_result=True,
        task_create_missing_queues=False,
    )
    app.task(nothing, name=task_name(Kind.SCALE))
    publisher = Publisher(url)
    publisher.start()
    with_publisher(publisher, messages(100))  # both connect before the clock runs
    with_celery(app, messages(100))
    emptied(url)
    rates = []
    for _ in range(ROUNDS):
        ours = with_publisher(publisher, messages(OURS))
        assert emptied(url) == OURS
        theirs = with_celery(app, messages(THEIRS))
        assert emptied(url) == THEIRS
        rates.append((ours, theirs, ours / theirs))
    publisher.stop()
    ours, theirs, ratio = (median(column) for column in zip(*rates, strict=True))
    result = {"publisher_per_s": round(ours), "apply_async_per_s": round(theirs), "ratio": round(ratio, 1)}
    record_property("publish", json.dumps(result))
    print(f"\npublished and confirmed, per second, median of {ROUNDS}: {json.dumps(result)}")
