"""What a sample costs on its whole way through Kafka, and how soon something is done about it, beside the least that
could be called the same. CPU seconds of the processes, rounds in turn; states prove that all of it was done.
"""

import random
import threading
import time
from statistics import median

import pytest
from celery import Celery
from confluent_kafka import Consumer, Producer, TopicPartition

from tasks.contract import EXCHANGE, Kind, routing_key, task_name
from tests.bench.folding import digest_of
from tests.bench.rounds import interleaved, ratio
from tests.bench.stage import PARTITIONS, ROOT, Baseline, Ours, cpu, make, samples
from tests.processes import wait_for
from tests.product import Product
from tests.unit.policy.builders import policy
from tests.unit.policy.test_alerts import alert

US = 1_000_000
WATCHED = (
    alert(expr='avg("cpu", "5m") > 1000.0')
    .replace('"web*"', '"*"')
    .replace("every: 0s", "every: 1h")
    .replace("stale: 30s", "stale: 1h")
)
"""Has every series kept with five minutes of window, and is hardly ever asked: the fold is what is compared."""


@pytest.fixture
def product(servers, tmp_path):
    with Product(servers, tmp_path / "product") as made:
        yield made


def ours(product):
    """Intake and auto-scaler, each a process of its own, that have their policies."""
    programs = [product.stream(name) for name in ("app.intake", "app.autoscaler")]
    product.apply(WATCHED)
    return Ours(product.settings, programs, "metrics", 0)


def baseline(product, topic, command, each, **env):
    out = product.directory / f"{topic}.out"
    env = {
        "BENCH_TOPIC": topic, "BENCH_OUT": str(out), "BENCH_BROKER": product.settings.bootstrap,
        "PYTHONPATH": str(ROOT), **env,
    }  # fmt: skip
    return Baseline(product.settings, product.processes.start(command, env), topic, each, out)


@pytest.mark.timeout(600)
def test_samples_through_intake_and_auto_scaler(product, figures):
    make(product.settings, "bench_loop", "bench_faust")
    agent = ["faust", "-A", "tests.bench.folding", "worker", "-l", "error"]
    programs = {
        "intake and auto-scaler": ours(product),
        "librdkafka and msgspec, nothing kept": baseline(
            product, "bench_loop", ["python", "-m", "tests.bench.folding"], 60_000
        ),
        "a Faust agent, nothing kept": baseline(product, "bench_faust", agent, 4_000),
    }
    programs["intake and auto-scaler"].each = 60_000
    for one in programs.values():
        one.took(list(samples(1_000, 200, 5)))
        one.rest()
    found = interleaved(
        {name: lambda one=one: one.took(list(samples(one.each, 200, 5))) for name, one in programs.items()}, 3
    )
    mine = found["intake and auto-scaler"]
    for name, one in programs.items():
        figures.row(
            name, CPU_us_a_sample=median(found[name]) * US, ratio_to_ours=ratio(found[name], mine),
            samples_in_a_round=one.each, idle_percent_of_a_core=one.idle * 100,
        )  # fmt: skip
    held, count = programs["intake and auto-scaler"].held(product)
    assert count == programs["intake and auto-scaler"].count
    assert len(held) == 1000
    for one in list(programs.values())[1:]:
        assert one.told()["count"] == one.count
    figures.row("goals", a_Faust_agent="at least 20", librdkafka="at least 0.2")


@pytest.mark.timeout(600)
def test_the_same_samples_lead_to_the_same_windows(product, figures):
    """The baselines do the same work: from the same messages they hold the same bytes."""
    make(product.settings, "bench_loop")
    mine = ours(product)
    loop = baseline(product, "bench_loop", ["python", "-m", "tests.bench.folding"], 0)
    messages = list(samples(20_000, 200, 5))
    mine.took(messages)
    loop.took(messages)
    held, count = mine.held(product)
    assert count == 20_000
    assert digest_of(held) == loop.told()["digest"]
    figures.row("intake and auto-scaler, librdkafka and msgspec", series=len(held), digest=digest_of(held)[:16])


@pytest.mark.timeout(600)
def test_a_sample_at_100_1000_and_10000_services(product, figures):
    mine, sizes, each = ours(product), (100, 1_000, 10_000), 50_000
    for size in sizes:
        mine.took(list(samples(size, size, 1, f"of{size}")))  # the services are known before the clock runs
    mine.rest()
    found = interleaved(
        {str(size): lambda size=size: mine.took(list(samples(each, size, 1, f"of{size}"))) for size in sizes}, 3
    )
    for size in sizes:
        figures.row(
            f"{size:,} services", CPU_us_a_sample=median(found[str(size)]) * US,
            ratio_to_100=ratio(found[str(size)], found["100"]), goal="within 20 %",
        )  # fmt: skip
    held, count = mine.held(product)
    assert count == mine.count
    assert len(held) == sum(sizes)


def nothing(action):
    pass


class Reaction:
    """From a sample to the first line of a task, and the floor below that."""

    BREACHES = 60

    def __init__(self, product):
        self.product, self.settings = product, product.settings
        self.out = product.directory / "started"
        env = product.env | {"BENCH_OUT": str(self.out), "PYTHONPATH": str(ROOT)}
        command = [
            "celery",
            "-A",
            "tests.bench.started",
            "worker",
            "-P",
            "solo",
            "-l",
            "info",
            "--without-gossip",
            "--without-mingle",
        ]
        self.worker = product.processes.start(command, env)
        wait_for(lambda: " ready" in self.worker.text, 60, "the worker")
        self.celery = Celery("floor", broker=self.settings.rabbitmq_url, set_as_current=False)
        self.celery.conf.update(broker_transport_options={"confirm_publish": True}, task_ignore_result=True,
                                task_create_missing_queues=False)  # fmt: skip
        self.task = self.celery.task(nothing, name=task_name(Kind.SCALE))
        self.producer = Producer(self.settings.librdkafka(acks=1) | {"linger.ms": 0, "socket.nagle.disable": True})

    def starts(self):
        lines = self.out.read_text().splitlines() if self.out.exists() else []
        return {name: float(at) for name, at in (line.split() for line in lines)}

    def waited(self, sent):
        wait_for(lambda: sent.keys() <= self.starts().keys(), 60, "every task to start")
        starts = self.starts()
        return median(starts[name] - at for name, at in sent.items())

    def publish_to_start(self, turn):
        sent = {}
        for n in range(self.BREACHES):
            name = f"floor{turn}-{n}"
            sent[name] = time.time()
            self.task.apply_async(({"service": name},), exchange=EXCHANGE, routing_key=routing_key(Kind.SCALE, name),
                                  mandatory=True)  # fmt: skip
            time.sleep(random.uniform(0.02, 0.08))
        return self.waited(sent)

    def produce_to_poll(self):
        topic, found, over = "bench_floor", [], threading.Event()
        consumer = Consumer(
            self.settings.librdkafka() | {"group.id": "floor", "enable.auto.commit": False, "fetch.wait.max.ms": 100}
        )
        consumer.assign([TopicPartition(topic, p, -1) for p in range(PARTITIONS)])

        def poll():
            while not over.is_set():
                message = consumer.poll(0.1)
                if message is not None and message.error() is None:
                    found.append(time.time() - float(message.value()))

        thread = threading.Thread(target=poll)
        thread.start()
        time.sleep(1.0)
        for n in range(self.BREACHES):
            self.producer.produce(topic, repr(time.time()).encode(), partition=n % PARTITIONS)
            self.producer.poll(0)
            time.sleep(random.uniform(0.02, 0.08))
        wait_for(lambda: len(found) == self.BREACHES, 20, "the floor's messages")
        over.set()
        thread.join()
        consumer.close()
        return median(found)

    def under(self, rate, turn, running):
        """p50 of the reaction beside so many samples a second, the share of a core that the three apps take, and the
        part of the reaction that is over when the sample is on the journal.
        """
        names = [f"hot{turn}x{rate}-{n}" for n in range(self.BREACHES)]
        self.product.send("instances", *({"service": name, "wanted": 1, "ready": 1} for name in names))
        wait_for(lambda: not self.product.lag("intake", "instances"), 30, "the instances")
        time.sleep(2.0)
        sent, n, began = {}, 0, time.time()
        due, before = began + 1.0, cpu([running])
        while len(sent) < len(names) or time.time() < began + 6.0:
            now = time.time()
            while n < (now - began) * rate:
                self.send(f"bg-{n % 200}", 50.5, n % PARTITIONS)
                n += 1
            if now >= due and len(sent) < len(names):
                name = names[len(sent)]
                sent[name] = time.time()
                self.send(name, 99.5, len(sent) % PARTITIONS)
                due = now + random.uniform(0.02, 0.08)
            time.sleep(0.001)
        share = (cpu([running]) - before) / (time.time() - began)
        took = self.waited(sent)
        decided = [one for one in self.product.watch.tally.decisions.values() if one.service in sent and one.action]
        journal = median(one.at_ms - one.evidence["sample_at_ms"] for one in decided) / 1000
        return took, share, journal

    def send(self, service, cpu_, partition):
        self.producer.produce(
            "metrics", b'{"service":"%s","host":"%s-1","cpu":%.1f}' % (service.encode(), service.encode(), cpu_),
            partition=partition,
        )  # fmt: skip
        self.producer.poll(0)


@pytest.mark.timeout(600)
def test_reaction_from_a_sample_to_the_start_of_a_task(product, figures):
    make(product.settings, "bench_floor")
    running = product.stream("app")
    watched = WATCHED.replace('service: "*"', 'service: "bg*"').replace("name: hot", "name: watched")
    product.apply(f"{policy('hot', service='hot*', every='0s')}---\n{watched}")
    reaction = Reaction(product)
    rates, rounds = (200, 5_000), 3
    floors: list[float] = []
    found, shares, journals = ({rate: [] for rate in rates} for _ in range(3))
    for turn in range(rounds):
        floors.append(reaction.produce_to_poll() + reaction.publish_to_start(turn))
        for rate in rates:
            took, share, journal = reaction.under(rate, turn, running)
            found[rate].append(took)
            shares[rate].append(share)
            journals[rate].append(journal)
    figures.row("floor: produce to poll, and publish to start", p50_ms=median(floors) * 1000)
    for rate, goals in zip(rates, ("3 times, 30 %", "6 times, 60 %"), strict=True):
        figures.row(
            f"three apps, {rate:,} samples a second", p50_ms=median(found[rate]) * 1000,
            of_the_floor=ratio(found[rate], floors), percent_of_a_core=median(shares[rate]) * 100,
            of_which_to_the_journal_ms=median(journals[rate]) * 1000, goals=goals,
        )  # fmt: skip
