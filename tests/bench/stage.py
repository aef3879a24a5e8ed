"""Programs under measurement: their CPU, what they are sent, and when they are done with it."""

import json
import time
from pathlib import Path

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from app.policy.state import unpack
from app.stream import client
from app.stream.topics import JOURNAL
from tests.bench.folding import END
from tests.processes import wait_for

ROOT = Path(__file__).parents[2]
PARTITIONS = 4
IDLE_S = 3.0


def cpu_of(running):
    """CPU seconds of a program so far, all its threads."""
    fields = Path(f"/proc/{running.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def cpu(programs):
    return sum(map(cpu_of, programs))


def samples(count, services, hosts, prefix="svc", seed=0):
    """(partition, message) of single samples; a series stays in its partition."""
    now = int(time.time())
    for n in range(count):
        service = n % services
        host = n // services % hosts
        name, value = f"{prefix}-{service}", (n * 7 + seed) % 97
        one = f'{{"service":"{name}","host":"{name}-{host}","cpu":{value}.5,"ts":{now}}}'
        yield service % PARTITIONS, one.encode()


def send(settings, topic, messages):
    producer = Producer(settings.librdkafka(acks="all") | {"linger.ms": 20, "queue.buffering.max.messages": 1_000_000})
    for place, (partition, value) in enumerate(messages):
        producer.produce(topic, value, partition=partition)
        if place % 1000 == 0:
            producer.poll(0)
    assert producer.flush(60) == 0


def make(settings, *topics):
    admin = AdminClient(settings.librdkafka())
    for future in admin.create_topics([NewTopic(one, PARTITIONS, 1) for one in topics]).values():
        future.result(30)


class Program:
    """Programs that together fold a topic. `took` is CPU seconds of some samples, without what idleness takes."""

    def __init__(self, settings, programs, topic, each):
        self.settings, self.programs, self.topic, self.each = settings, programs, topic, each
        self.count = 0
        self.idle = 0.0

    def rest(self):
        """How much of a core it takes with nothing to do."""
        before, began = cpu(self.programs), time.monotonic()
        time.sleep(IDLE_S)
        self.idle = (cpu(self.programs) - before) / (time.monotonic() - began)

    def took(self, messages):
        """CPU seconds a sample for messages."""
        before, began = cpu(self.programs), time.monotonic()
        send(self.settings, self.topic, messages)
        self.count += len(messages)
        self.finish()
        return (cpu(self.programs) - before - self.idle * (time.monotonic() - began)) / len(messages)


class Baseline(Program):
    """A program of `tests.bench.folding`."""

    def __init__(self, settings, running, topic, each, out):
        super().__init__(settings, [running], topic, each)
        self.out = out

    def finish(self):
        """Ask each partition for what it has come to until all is there."""

        def all_there():
            send(self.settings, self.topic, [(p, json.dumps({"service": END, "host": "", "cpu": 0.0, "ts": 0}).encode())
                                             for p in range(PARTITIONS)])  # fmt: skip
            time.sleep(0.1)
            return self.told().get("count") == self.count

        wait_for(all_there, 120, f"{self.count} samples in {self.topic}")

    def told(self):
        lines = self.out.read_text().splitlines() if self.out.exists() else []
        return json.loads(lines[-1]) if lines else {}


class Ours(Program):
    """Intake and auto-scaler."""

    def finish(self):
        """All is committed by both."""
        self._committed("intake", self.topic)
        self._committed("auto-scaler", JOURNAL)

    def _committed(self, group, topic):
        end = client.borders(self.settings, topic)[1]

        def there():
            time.sleep(0.2)
            done = client.committed(self.settings, group, topic)
            return all(done.get(partition, 0) >= offset for partition, offset in end.items())

        wait_for(there, 120, f"{group} to have committed {topic}")

    def held(self, product):
        """(service, host) → newest value and buckets, of what is in the states; and how many samples they count."""
        states = [unpack(raw) for raw in product.states().values()]
        found = {
            (name, key.partition("host=")[2]): (one.value, bytes(one.window.rows))
            for state in states
            for name, service in state.services.items()
            for key, one in service.series.items()
        }
        return found, sum(state.samples for state in states)
