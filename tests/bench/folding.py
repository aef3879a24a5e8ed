"""The fold that all compared programs do, and the two baselines that do it without the product.

`python -m tests.bench.folding`        a loop of librdkafka and msgspec: no journal, no state that outlives it
`faust -A tests.bench.folding worker`  a Faust agent as one writes it at first, on Faust's own transport, no table

Both read the topic in `BENCH_TOPIC` and write a line to the file in `BENCH_OUT` whenever they come upon a sample of
the service `end`: how many they have folded, and a digest of what they hold.
"""

import hashlib
import json
import os
from functools import cache
from pathlib import Path

import msgspec

from app.policy.columns import TOTALS
from app.policy.windows import Window, width_for

END = "end"
WIDTH_MS = width_for(300_000)


class Sample(msgspec.Struct):
    """The messages: one sample each."""

    service: str
    host: str
    cpu: float
    ts: int


class Fold:
    """The newest value of each series, and five minutes of it in the engine's own windows."""

    def __init__(self):
        self.series = {}
        self.count = 0

    def add(self, one):
        if one.service == END:
            self.tell()
            return
        key = (one.service, one.host)
        slot = self.series.get(key)
        if slot is None:
            slot = self.series[key] = [0, 0.0, Window.of(WIDTH_MS, TOTALS)]
        at_ms = one.ts * 1000
        slot[2].add(at_ms, one.cpu)
        if at_ms >= slot[0]:
            slot[0], slot[1] = at_ms, one.cpu
        self.count += 1

    def tell(self):
        digest = digest_of({key: (slot[1], bytes(slot[2].rows)) for key, slot in self.series.items()})
        with Path(os.environ["BENCH_OUT"]).open("a") as file:
            file.write(json.dumps({"count": self.count, "digest": digest}) + "\n")


def digest_of(held):
    """Of (service, host) → newest value and buckets."""
    return hashlib.sha256(repr(sorted(held.items())).encode()).hexdigest()


def loop():
    from confluent_kafka import Consumer

    consumer = Consumer(
        {"bootstrap.servers": os.environ["BENCH_BROKER"], "group.id": "bench-loop", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([os.environ["BENCH_TOPIC"]])
    decode, fold = msgspec.json.Decoder(Sample).decode, Fold()
    while True:
        for message in consumer.consume(10_000, 0.05):
            fold.add(decode(message.value()))


@cache
def plain():
    import faust

    app = faust.App(
        f"bench-{os.environ['BENCH_TOPIC']}", broker=f"kafka://{os.environ['BENCH_BROKER']}", web_enabled=False,
        topic_disable_leader=True, consumer_auto_offset_reset="earliest", topic_partitions=4, store="memory://",
        datadir=os.environ["BENCH_OUT"] + ".faust",
    )  # fmt: skip
    topic = app.topic(os.environ["BENCH_TOPIC"], value_type=bytes, value_serializer="raw", key_type=bytes,
                      key_serializer="raw")  # fmt: skip
    decode, fold = msgspec.json.Decoder(Sample).decode, Fold()

    @app.agent(topic)
    async def agent(stream):
        async for value in stream:
            fold.add(decode(value))

    return app


def __getattr__(name):
    if name == "app":
        return plain()
    raise AttributeError(name)


if __name__ == "__main__":
    loop()
