"""How fast actions get to RabbitMQ: the publisher beside Celery's `apply_async`, py-amqp and aio-pika, in one run.

All wait for RabbitMQ's confirms, all are mandatory and persistent, all send the same action. CPU is this
process's, its threads with it. Rates differ from machine to machine: the ratio of a round is what to look at.
"""

import asyncio
import json
from statistics import median

import aio_pika
import pytest
from amqp import Message
from celery import Celery
from kombu import Connection

from app.queue.connection import connect
from app.queue.link import WINDOW
from app.queue.message import argument, of_action
from app.queue.publisher import Publisher
from tasks.contract import EXCHANGE, QUEUES, Kind, Scale, task_name
from tests.bench.measure import Clock, middle, table

ROUNDS = 5
COUNTS = {"publisher": 5_000, "apply_async": 500, "py-amqp, confirm each": 1_000, "aio-pika, window": 2_000}
BASE = "apply_async"
GOALS = (5, 8)
"""Times the messages of `BASE` a CPU second, and a second."""


def actions(count):
    same = {"service": "web", "decided_at_ms": 1, "expires_at_ms": 2, "from_replicas": 1, "to_replicas": 2}
    return [Scale(id=f"j-0-{i}-0", generation=i, **same) for i in range(count)]


def nothing(action):
    pass


class Ours:
    def __init__(self, url):
        self.publisher = Publisher(url)
        self.publisher.start()

    def send(self, sent):
        asyncio.run(self.publisher.publish([of_action(one) for one in sent]))

    def end(self):
        self.publisher.stop()


class ApplyAsync:
    def __init__(self, url):
        self.app = Celery("bench", broker=url, set_as_current=False)
        self.app.conf.update(
            broker_transport_options={"confirm_publish": True, "read_timeout": 10},
            task_ignore_result=True,
            task_create_missing_queues=False,
        )
        self.app.task(nothing, name=task_name(Kind.SCALE))

    def send(self, sent):
        task = self.app.tasks[task_name(Kind.SCALE)]
        for one in sent:
            message = of_action(one)
            task.apply_async(
                (argument(message.body),), task_id=message.id, exchange=EXCHANGE, routing_key=message.routing_key,
                mandatory=True, confirm_timeout=10,
            )  # fmt: skip

    def end(self):
        self.app.close()


class PyAmqp:
    def __init__(self, url):
        self.connection = connect(url, confirm=True)
        self.channel = self.connection.channel()

    def send(self, sent):
        for message in map(of_action, sent):
            self.channel.basic_publish(
                Message(message.body, **message.properties), EXCHANGE, message.routing_key, mandatory=True
            )

    def end(self):
        self.connection.collect()


class AioPika:
    """As many confirms awaited at once as the publisher's window."""

    def __init__(self, url):
        self.loop = asyncio.new_event_loop()
        self.loop.run_until_complete(self._connect(url))

    async def _connect(self, url):
        self.connection = await aio_pika.connect(url)
        self.channel = await self.connection.channel(publisher_confirms=True, on_return_raises=True)
        self.exchange = await self.channel.get_exchange(EXCHANGE, ensure=False)

    def send(self, sent):
        self.loop.run_until_complete(self._all(sent))

    async def _all(self, sent):
        slots = asyncio.Semaphore(WINDOW)

        async def one(message):
            told = dict(message.properties)
            headers = told.pop("application_headers")
            async with slots:
                made = aio_pika.Message(message.body, headers=headers, **told)
                await self.exchange.publish(made, message.routing_key, mandatory=True)

        await asyncio.gather(*(one(of_action(action)) for action in sent))

    def end(self):
        self.loop.run_until_complete(self.connection.close())
        self.loop.close()


def emptied(url):
    with Connection(url) as connection:
        return connection.channel().queue_purge(QUEUES[Kind.SCALE])


@pytest.mark.timeout(300)
def test_the_publisher_beside_what_others_publish_with(clean, record_property):
    url = clean.rabbitmq_url
    ways = dict(zip(COUNTS, (Ours(url), ApplyAsync(url), PyAmqp(url), AioPika(url)), strict=True))
    for way in ways.values():  # all connect before a clock runs
        way.send(actions(100))
    assert emptied(url) == 100 * len(ways)
    found = {name: [] for name in ways}
    for turn in range(ROUNDS):
        for name in list(ways)[:: -1 if turn % 2 else 1]:
            count = COUNTS[name]
            sent = actions(count)
            with Clock() as clock:
                ways[name].send(sent)
            assert emptied(url) == count  # not one is missing, not one is there twice
            found[name].append((clock.cpu_s / count * 1e6, count / clock.cpu_s, count / clock.wall_s))
    for way in ways.values():
        way.end()
    rows, result = [], {}
    for name, rounds in found.items():
        micro_s, per_cpu_s, per_s = middle(rounds)
        pairs = list(zip(rounds, found[BASE], strict=True))
        of_base = [median(ours[column] / theirs[column] for ours, theirs in pairs) for column in (1, 2)]
        rows.append([name, f"{micro_s:.0f}", f"{per_cpu_s:,.0f}", f"{per_s:,.0f}", *(f"{x:.1f}" for x in of_base)])
        result[name] = {"cpu_us": round(micro_s, 1), "per_s": round(per_s), "of_base": [round(x, 2) for x in of_base]}
    record_property("publish", json.dumps(result))
    head = ["confirmed, persistent, mandatory", "CPU µs each", "a CPU second", "a second", "x by CPU", "x by wall"]
    title = f"publishing, medians of {ROUNDS} rounds; goal ≥ {GOALS[0]} and ≥ {GOALS[1]} times {BASE}"
    table(title, head, rows)
