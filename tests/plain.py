"""An app of nothing but the transport: `faust -A tests.plain worker` writes down each block that its handler is given.

`PLAIN_TOPICS`  what it reads, comma separated; its group is `plain`
`PLAIN_OUT`     the file: a line of JSON for each block, when the handler begins with it
`PLAIN_WAIT_S`  how long the handler then takes
`PLAIN_HANG`    the topic's partition whose handler never ends, as `topic/partition`
`PLAIN_HOLD`    with any value: the handler holds the whole loop, for ever
`PLAIN_FAIL`    the value at which the handler raises
`PLAIN_ECHO`    a topic to which the handler writes a line for each record, once it has waited
`PLAIN_BESIDE`  with any value: an ordinary aiokafka consumer reads the same topics in this process
"""

import asyncio
import json
import os
import time
from functools import cache, partial
from pathlib import Path

from aiokafka import AIOKafkaConsumer
from mode import Service

from app.settings import settings
from app.stream.build import blocks, build, configured

TOPICS = os.environ.get("PLAIN_TOPICS", "").split(",")


def write(**line):
    with Path(os.environ["PLAIN_OUT"]).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def text(value):
    return None if value is None else value.decode()


async def handle(app, block):
    write(
        topic=block.tp.topic, partition=block.tp.partition, start=block.start, end=block.end, pid=os.getpid(),
        records=[
            [r.offset, text(r.key), text(r.value), [[k, text(v)] for k, v in r.headers], r.timestamp]
            for r in block.records
        ],
    )  # fmt: skip
    if os.environ.get("PLAIN_HANG") == f"{block.tp.topic}/{block.tp.partition}":
        await asyncio.Event().wait()
    while os.environ.get("PLAIN_HOLD"):
        time.sleep(1)  # noqa: ASYNC251 - that is the point
    if any(text(r.value) == os.environ.get("PLAIN_FAIL", "") for r in block.records):
        raise ValueError("a handler that fails")
    await asyncio.sleep(float(os.environ.get("PLAIN_WAIT_S", "0")))
    echo = os.environ.get("PLAIN_ECHO")
    for record in block.records if echo else ():
        await (await app.producer.send(echo, None, record.value, 0, None, None))


class Beside(Service):
    """An ordinary consumer, in the same process."""

    @Service.task
    async def _read(self):
        consumer = AIOKafkaConsumer(*TOPICS, bootstrap_servers=settings().bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        async for record in consumer:
            write(beside=type(record).__name__, topic=record.topic, partition=record.partition, offset=record.offset)


@cache
def plain():
    app = build("plain", TOPICS, configured())
    for topic in TOPICS:
        blocks(app, topic, partial(handle, app))
    if os.environ.get("PLAIN_BESIDE"):
        app.service(Beside)
    return app


def __getattr__(name):
    if name == "app":
        return plain()
    raise AttributeError(name)
