"""The transport alone on a real Kafka: an app that writes down each block it is given, and faults around it.

What must hold is counted: every record once and in order, nothing committed that is not done.
"""

import json
import signal
import time
from collections import Counter, defaultdict

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from app.settings import Settings
from app.stream import client
from tests import fresh
from tests.processes import wait_for

pytestmark = pytest.mark.timeout(240)

GROUP = "plain"
SESSION_S = 6


class Plain:
    """Topics of a test, and the apps of `tests.plain` that read them."""

    def __init__(self, kafka_url, processes, directory):
        self.settings = Settings(kafka_url=kafka_url)
        self.processes = processes
        self.directory = directory
        self.admin = AdminClient(self.settings.librdkafka(log_level=0))
        self.topics = []

    def topic(self, name, partitions=2, **config):
        self.admin.create_topics([NewTopic(name, partitions, 1, config=config)])[name].result(30)
        wait_for(lambda: len(self.there().get(name, ())) == partitions, 30, f"{name} to be there")
        self.topics.append(name)

    def there(self):
        return {name: topic.partitions for name, topic in self.admin.list_topics(timeout=20).topics.items()}

    def start(self, name="one", topics=(), **more):
        env = {
            "HEADRACE_KAFKA_URL": self.settings.kafka_url, "HEADRACE_SESSION_S": str(SESSION_S),
            "HEADRACE_DATADIR": str(self.directory / name), "HEADRACE_LOG_JSON": "true",
            "PLAIN_TOPICS": ",".join(topics or self.topics), "PLAIN_OUT": str(self.directory / f"{name}.out"),
        }  # fmt: skip
        return self.processes.start(["faust", "-A", "tests.plain", "worker", "-l", "info"], env | more)

    def send(self, topic, *values, partition=0, headers=None, **config):
        """Send values, each (key, value) or a value; their offsets."""
        offsets = []
        producer = Producer(self.settings.librdkafka(acks="all") | {"linger.ms": 5} | config)
        for one in values:
            key, value = one if isinstance(one, tuple) else (None, one)
            producer.produce(
                topic,
                value,
                key,
                partition=partition,
                headers=headers,
                on_delivery=lambda _, m: offsets.append(m.offset()),
            )
            producer.poll(0)
        assert producer.flush(30) == 0
        return offsets

    def lines(self, name="one"):
        file = self.directory / f"{name}.out"
        text = file.read_text() if file.exists() else ""
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def blocks(self, name="one"):
        return [line for line in self.lines(name) if "records" in line]

    def given(self, name="one"):
        """Values by (topic, partition), in the order in which the handler was given them."""
        found = defaultdict(list)
        for block in self.blocks(name):
            found[block["topic"], block["partition"]] += [record[2] for record in block["records"]]
        return found

    def committed(self, topic):
        return client.committed(self.settings, GROUP, topic)

    def all_committed(self, topic):
        _, high = client.borders(self.settings, topic)
        done = self.committed(topic)
        return all(done.get(p, 0) == high[p] for p in high)

    def values(self, topic):
        low, high = client.borders(self.settings, topic)
        return [message.value.decode() for message in client.read_topic(self.settings, topic, low, high)]


@pytest.fixture
def plain(session, processes, tmp_path):
    kafka_url = session.have("kafka").kafka_url
    fresh.no_topics(Settings(kafka_url=kafka_url))
    return Plain(kafka_url, processes, tmp_path)


def numbers(count, first=0):
    return [str(n) for n in range(first, first + count)]


def test_a_record_keeps_its_key_headers_time_and_tombstone(plain):
    plain.topic("metrics", 1)
    plain.send("metrics", ("k", "v"), ("gone", None), (None, "last"), headers=[("trace", b"7"), ("none", None)])
    plain.start()
    wait_for(lambda: len(plain.given()["metrics", 0]) == 3, 60, "the records")
    records = [record for block in plain.blocks() for record in block["records"]]
    assert [record[:3] for record in records] == [[0, "k", "v"], [1, "gone", None], [2, None, "last"]]
    assert all(record[3] == [["trace", "7"], ["none", None]] for record in records)
    assert all(abs(record[4] - time.time() * 1000) < 600_000 for record in records)


def test_an_ordinary_consumer_beside_it_gets_ordinary_records(plain):
    plain.topic("metrics", 1)
    running = plain.start(PLAIN_BESIDE="1")
    plain.send("metrics", *numbers(50))
    wait_for(lambda: len(plain.given()["metrics", 0]) == 50, 60, "the blocks")
    beside = lambda: [line for line in plain.lines() if "beside" in line]  # noqa: E731
    wait_for(lambda: len(beside()) == 50, 30, "the ordinary records")
    assert {line["beside"] for line in beside()} == {"ConsumerRecord"}
    assert [line["offset"] for line in beside()] == list(range(50))
    assert running.alive


def test_a_partition_that_hangs_stalls_no_other_and_the_watchdog_ends_the_process(plain):
    plain.topic("metrics", 3)
    plain.topic("other", 1)
    running = plain.start(PLAIN_HANG="metrics/1", HEADRACE_STALL_S="20")
    plain.send("metrics", "hangs", partition=1)
    wait_for(lambda: plain.given()["metrics", 1], 60, "the handler to hang")
    producer = Producer(plain.settings.librdkafka(acks="all") | {"linger.ms": 0})
    for n in range(200):  # one by one, so that the partition that hangs is full
        for topic, partition in (("metrics", 0), ("metrics", 1), ("metrics", 2), ("other", 0)):
            producer.produce(topic, str(n), partition=partition)
        producer.poll(0.005)
    assert producer.flush(30) == 0
    for topic, partition in (("metrics", 0), ("metrics", 2), ("other", 0)):
        wait_for(lambda at=(topic, partition): plain.given()[at] == numbers(200), 60, f"all of {topic} {partition}")
    wait_for(lambda: plain.committed("metrics").get(2) == 200, 20, "the commit of what is done")
    assert plain.given()["metrics", 1] == ["hangs"]
    assert plain.committed("metrics").get(1, 0) == 0
    wait_for(lambda: running.code is not None, 60, "the watchdog")
    assert running.code == 70
    assert "metrics[1] has stood at 0 of 201 for 20 s" in running.text


def test_a_handler_that_holds_the_loop_is_ended_too(plain):
    plain.topic("metrics", 1)
    plain.send("metrics", "x")
    running = plain.start(PLAIN_HOLD="1", HEADRACE_STALL_S="5")
    wait_for(lambda: running.code is not None, 60, "the watchdog")
    assert running.code == 70
    assert "metrics[0] has stood at 0 of 1 for 5 s" in running.text
    assert plain.committed("metrics").get(0, 0) == 0


def test_a_flooded_topic_does_not_starve_another(plain):
    plain.topic("flood", 1)
    plain.topic("quiet", 1)
    plain.send("flood", *numbers(60_000))
    plain.send("quiet", "here")
    plain.start(PLAIN_WAIT_S="0.3")
    wait_for(lambda: len(plain.given()["flood", 0]) == 60_000, 90, "the flood")
    order = [block["topic"] for block in plain.blocks()]
    assert order.index("quiet") < order.index("flood") + 8 < len(order)
    assert plain.given()["flood", 0] == numbers(60_000)
    assert max(len(block["records"]) for block in plain.blocks()) == 4_000


def test_a_handler_that_raises_ends_the_process_before_anything_is_acknowledged(plain):
    plain.topic("metrics", 1)
    plain.send("metrics", *numbers(10))
    running = plain.start(PLAIN_FAIL="7")
    wait_for(lambda: running.code is not None, 60, "its end")
    assert running.code == 70
    assert "ValueError: a handler that fails" in running.text
    assert plain.committed("metrics").get(0, 0) == 0
    plain.start("two")
    wait_for(lambda: plain.all_committed("metrics"), 60, "the next one to do it all")
    assert plain.given("two")["metrics", 0] == numbers(10)


def test_records_lost_by_retention_are_told_and_what_is_left_is_read(plain):
    plain.topic("metrics", 1)
    plain.send("metrics", *numbers(10))
    running = plain.start()
    wait_for(lambda: plain.all_committed("metrics"), 60, "the first ten")
    running.stop()
    plain.send("metrics", *numbers(90, 10))
    plain.admin.delete_records([TopicPartition("metrics", 0, 60)])[TopicPartition("metrics", 0)].result(20)
    running = plain.start("two")
    wait_for(lambda: plain.all_committed("metrics"), 60, "the rest")
    assert plain.given("two")["metrics", 0] == numbers(40, 60)
    assert "metrics[0]: offsets 10 to 59 are gone by retention" in running.text


def test_partitions_that_are_added_while_it_runs_are_read(plain):
    plain.topic("metrics", 1)
    plain.start()
    plain.send("metrics", "before")
    wait_for(lambda: plain.given()["metrics", 0] == ["before"], 60, "the first")
    plain.admin.create_partitions([NewPartitions("metrics", 3)])["metrics"].result(20)
    wait_for(lambda: len(plain.there()["metrics"]) == 3, 20)
    plain.send("metrics", "after", partition=2)
    wait_for(lambda: plain.given()["metrics", 2] == ["after"], 60, "the new partition")
    assert plain.given()["metrics", 0] == ["before"]


def test_a_topic_that_comes_late_is_read_without_a_restart(plain):
    plain.topic("metrics", 1)
    running = plain.start(topics=["metrics", "late"])
    plain.send("metrics", "first")
    wait_for(lambda: plain.given()["metrics", 0], 60, "the topic that is there")
    plain.topic("late", 1)
    plain.send("late", "x")
    wait_for(lambda: plain.given()["late", 0] == ["x"], 60, "the late topic")
    assert running.alive


def test_a_topic_made_anew_is_read_from_its_beginning(plain):
    plain.topic("metrics", 1)
    running = plain.start()
    plain.send("metrics", *numbers(50))
    wait_for(lambda: plain.all_committed("metrics"), 60, "the old topic")
    plain.admin.delete_topics(["metrics"])["metrics"].result(20)
    wait_for(lambda: "metrics" not in plain.there(), 30)
    plain.topic("metrics", 1)
    plain.send("metrics", *numbers(10, 100))
    wait_for(lambda: plain.given()["metrics", 0] == numbers(50) + numbers(10, 100), 60, "the new topic")
    wait_for(lambda: plain.committed("metrics").get(0) == 10, 30, "its commit")
    assert running.alive


def test_a_member_that_joins_or_leaves_repeats_nothing(plain):
    plain.topic("metrics", 4)
    plain.start("one", PLAIN_WAIT_S="0.5")
    expected = Counter()

    def send():
        first = len(expected) // 4
        for p in range(4):
            values = numbers(20, 1_000_000 * p + first)
            plain.send("metrics", *values, partition=p)
            expected.update(values)

    send()
    wait_for(plain.given, 60, "the first to begin")
    two = plain.start("two", PLAIN_WAIT_S="0.5")
    deadline = time.monotonic() + 90
    while not plain.given("two") and time.monotonic() < deadline:
        send()
        time.sleep(0.3)
    two.stop()
    assert two.code == 0
    send()
    wait_for(lambda: plain.all_committed("metrics"), 60, "all of it")
    found = Counter(value for name in ("one", "two") for values in plain.given(name).values() for value in values)
    assert found == expected


def test_a_worker_that_wakes_up_replaced_writes_nothing_of_what_it_had_in_hand(plain):
    plain.topic("metrics", 1)
    plain.topic("echo", 1)
    first = plain.start("one", topics=["metrics"], PLAIN_WAIT_S="2", PLAIN_ECHO="echo")
    plain.send("metrics", *numbers(20))
    wait_for(lambda: plain.given("one"), 60, "the first to have them in hand")
    first.signal(signal.SIGSTOP)
    plain.start("two", topics=["metrics"], PLAIN_WAIT_S="0", PLAIN_ECHO="echo")
    wait_for(lambda: plain.values("echo") == numbers(20), 60, "the second to do it")
    first.signal(signal.SIGCONT)
    plain.send("metrics", "more")
    wait_for(lambda: plain.all_committed("metrics"), 60, "both to share again")
    time.sleep(4)  # longer than the first had still to wait before its writes
    assert plain.values("echo") == [*numbers(20), "more"]
    assert first.alive
