"""The three apps where something is gone, made anew or killed at the worst moment: counted afterwards."""

import json
import urllib.request
from pathlib import Path

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from app.local import ports
from app.policy.decision import place_of
from app.policy.facts import Samples
from app.policy.state import unpack
from app.stream import client
from app.stream.topics import DECISIONS, JOURNAL
from tests.counting import caught_up, check_decisions, check_state, places, progress
from tests.processes import last_lines, wait_for
from tests.product import Product, policy

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def product(session, tmp_path):
    with Product(session.have("kafka", "rabbitmq", "redis"), tmp_path, HEADRACE_RABBITMQ_URL="") as product:
        yield product


def send(product, count, first=0, partitions=4):
    """Samples of many services over the partitions; how many."""
    producer = Producer(product.settings.librdkafka(acks="all") | {"linger.ms": 5})
    for n in range(first, first + count):
        producer.produce(
            "metrics", json.dumps({"host": f"svc{n % 40}-1", "cpu": 20 + n % 80}), partition=n % partitions
        )
        producer.poll(0)
    assert producer.flush(30) == 0
    return count


def test_a_hole_in_the_journal_stops_the_auto_scaler_before_anything_is_acknowledged(product):
    both = [product.stream("app.intake"), product.stream("app.autoscaler")]
    product.apply(policy())
    sent = send(product, 400)
    wait_for(lambda: progress(product.settings) == sent and caught_up(product.settings), 60, "the states")
    both[1].stop()
    send(product, 400, sent)
    wait_for(lambda: progress(product.settings) == 2 * sent, 60, "more facts")
    both[0].stop()
    stood = unpack(product.states()[2]).next_offset
    _, ends = client.borders(product.settings, JOURNAL)
    assert ends[2] - 1 > stood
    hole = TopicPartition(JOURNAL, 2, ends[2] - 1)
    admin = AdminClient(product.settings.librdkafka())  # its futures end with it
    admin.delete_records([hole])[hole].result(20)
    before = [(m.partition, m.offset) for m in decisions_of(product, 2)]
    assert before
    running = product.stream("app.autoscaler")
    wait_for(lambda: running.code is not None, 60, "its end")
    assert running.code == 70
    assert f"{JOURNAL}[2] goes on at {ends[2] - 1}, but the state stands at {stood}" in running.text
    assert "Traceback" not in running.text
    assert client.committed(product.settings, "auto-scaler", JOURNAL)[2] <= stood
    assert unpack(product.states()[2]).next_offset == stood
    assert [(m.partition, m.offset) for m in decisions_of(product, 2)] == before


def decisions_of(product, journal_partition):
    low, high = client.borders(product.settings, DECISIONS)
    for message in client.read_topic(product.settings, DECISIONS, low, high):
        if place_of(json.loads(message.value)["id"])[1] == journal_partition:
            yield message


def test_an_intake_killed_between_write_and_commit_counts_nothing_twice(product):
    product.stream("app.autoscaler")
    doomed = product.stream("tests.killed")
    product.apply(policy())
    other = product.stream("app.intake")
    wait_for(lambda: members(product, "intake") == 2, 60, "both to share the sources")
    sent = send(product, 400)
    wait_for(lambda: progress(product.settings) == sent, 60, "both to work")
    for partition in range(4):
        product.send("metrics", *({"service": "die", "cpu": n} for n in range(50)), partition=partition)
    wait_for(lambda: not doomed.alive, 60, "it to die")
    sent += 200 + send(product, 400, sent)
    wait_for(lambda: progress(product.settings) == sent and caught_up(product.settings), 90, "the other to do the rest")
    repeated = sum(count - 1 for count in places(product.settings).values())
    assert repeated >= 1, "it was not killed between write and commit"
    assert other.alive
    check_state(product.settings, sent)
    check_decisions(product.settings)


def members(product, group):
    admin = AdminClient(product.settings.librdkafka())
    return len(admin.describe_consumer_groups([group])[group].result(20).members)


@pytest.mark.parametrize(("old", "new"), [(400, 80), (80, 400)], ids=["shorter", "longer"])
def test_a_source_topic_made_anew_is_counted_from_its_beginning(product, old, new):
    running = product.stream()
    product.apply(policy())
    send(product, old)
    wait_for(lambda: product.lag("intake", "metrics") == 0, 60, "the old topic")
    admin = AdminClient(product.settings.librdkafka())
    admin.delete_topics(["metrics"])["metrics"].result(20)
    wait_for(lambda: "metrics" not in admin.list_topics(timeout=20).topics, 30)
    admin.create_topics([NewTopic("metrics", 4, 1)])["metrics"].result(20)
    wait_for(lambda: "metrics" in admin.list_topics(timeout=20).topics, 30)
    send(product, new)
    wait_for(lambda: counted_samples(product) == old + new, 90, "all of both")
    wait_for(lambda: product.lag("intake", "metrics") == 0, 60, "its commit")
    assert running.alive
    assert len({fact.source.topic_id for fact in product.facts(Samples)}) == 2


def counted_samples(product):
    """Samples on the journal, each place of each topic's id once."""
    found = set()
    for fact in product.facts(Samples):
        source = fact.source
        found.update((source.topic_id, source.partition, source.first + o) for o in fact.offset)
    return len(found)


def test_lag_transport_and_checkpoints_are_metrics(session, tmp_path):
    [port] = ports.free()
    more = {"HEADRACE_RABBITMQ_URL": "", "HEADRACE_METRICS_PORT": str(port)}
    with Product(session.have("kafka", "rabbitmq", "redis"), tmp_path, **more) as product:
        running = product.stream()
        product.apply(policy())
        send(product, 4_000)
        read = lambda: metrics(port)  # noqa: E731
        transport = {
            f'headrace_transport{{app="{app}",what="{what}"}}'
            for app, what in (("auto-scaler", "gathers"), ("intake", "fences"), ("intake", "blocks"))
        }
        wait_for(lambda: transport <= set(read()), 60, "the watchdogs to tell")
        wait_for(lambda: product.lag("intake", "metrics") == 0, 60)
        wait_for(lambda: read()['headrace_lag{app="intake",partition="1",topic="metrics"}'] == 0, 60, "no lag")
        found = read()
        assert found['headrace_samples_total{topic="metrics"}'] == 4_000
        assert found['headrace_checkpointed_until_seconds{partition="3"}'] > 1e9
        assert found['headrace_late{partition="0"}'] == 0
        assert found['headrace_transport{app="intake",what="blocks"}'] > 0
        assert running.alive


def metrics(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def test_a_process_that_lost_its_group_for_good_ends_and_says_so(product):
    """Kafka's client gives up when it is told of no broker, as one that has just started may do, and says nothing."""
    product.env["PYTHONPATH"] = str(Path(__file__).parents[2])
    lost = product.processes.start(["python", "-m", "tests.odd", "lost", "app.intake"], product.env)
    wait_for(lambda: not lost.alive, 40, f"it to end: {last_lines(lost)}")
    assert lost.code == 70
    assert "intake cannot stay in its group" in lost.text
