"""The stream remembers: readers at their own pace, and the recorded decisions decided again."""

import json
import time
from itertools import pairwise

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from app.cli.times import now_ms
from app.history import recorded
from app.local.fleet import Fleet
from app.local.load import Point, Service
from app.policy.facts import Command, PolicySet, Reported
from app.stream import client
from app.stream.topics import DECISIONS, JOURNAL
from tests.processes import wait_for
from tests.product import Product, policy

pytestmark = pytest.mark.timeout(180)

FLEET = (
    Service("web", 2, (Point(0, 80), Point(2, 400), Point(5, 400), Point(7, 80), Point(10, 80))),
    Service("api", 1, (Point(0, 200), Point(6, 60), Point(12, 200))),
)


@pytest.fixture(scope="module")
def past(session, tmp_path_factory):
    """A run with scalings and their outcomes, a change of policy and a pause in it; the product still runs."""
    servers = session.have("kafka", "rabbitmq", "redis")
    with Product(servers, tmp_path_factory.mktemp("history"), HEADRACE_SNAPSHOT_S="2") as product:
        product.worker()
        product.stream()
        product.apply(policy(), author="ann", message="first")
        with Fleet(product.settings, FLEET):
            wait_for(lambda: enough(product, 4), 40, f"scalings: {product.watch.tally.by_kind()}")
            product.between_ms = now_ms()
            time.sleep(0.5)
            product.apply(policy(target=40), author="bob", message="cooler, for the sale")
            product.headrace("pause", "web", "--reason", "lunch", "--author", "eve")
            wait_for(lambda: "PAUSED" in product.reasons(), 40, "a refusal for the pause")
            product.headrace("resume", "web", "--author", "eve")
            wait_for(lambda: enough(product, 8), 40, f"more scalings: {product.watch.tally.by_kind()}")
        wait_for(lambda: not product.lags(), 30, f"the lag to be 0: {product.lags()}")
        yield product


def enough(product, count):
    return sum(product.watch.tally.scalings.values()) >= count


def read_on(settings, group, wait_s, end, most=10_000):
    """Read decisions up to an end as a group of its own, from where it has committed, at most so many."""
    consumer = Consumer(settings.librdkafka() | {"group.id": group, "auto.offset.reset": "earliest"})
    done = consumer.committed([TopicPartition(DECISIONS, p) for p in end], 20)
    consumer.assign([TopicPartition(DECISIONS, one.partition, max(one.offset, 0)) for one in done])
    left = sum(end[one.partition] - max(one.offset, 0) for one in done)
    found = []
    while len(found) < min(most, left):
        message = consumer.poll(20)
        assert message is not None
        assert message.error() is None
        if message.offset() >= end[message.partition()]:
            continue  # decided since
        found.append((message.partition(), message.offset(), message.value()))
        consumer.commit(message, asynchronous=False)
        time.sleep(wait_s)
    consumer.close()
    return found


def test_a_slow_reader_that_came_back_and_a_late_one_read_the_same(past):
    _, end = client.borders(past.settings, DECISIONS)
    slow = read_on(past.settings, "slow", 0.05, end, most=12)
    slow += read_on(past.settings, "slow", 0.0, end)
    late = read_on(past.settings, "late", 0.0, end)
    assert len({place[:2] for place in slow}) == len(slow)
    assert sorted(slow) == sorted(late)
    assert len(late) >= 12


def test_the_run_holds_what_history_is_asked_for(past):
    assert len(past.facts(Reported)) >= 8
    assert {one.author for one in past.facts(PolicySet)} == {"ann", "bob"}
    assert {one.verb for one in past.facts(Command)} == {"pause", "resume"}


def test_a_replay_from_the_beginning_is_equal(past):
    said = past.headrace("replay").stdout
    assert said.endswith(", equal\n")
    assert int(said.split()[0]) >= len(past.watch.tally.decisions)


def test_a_replay_of_a_stretch_starts_at_the_snapshot_before_it_and_is_equal(past):
    start, end = moment(past.between_ms), moment(now_ms() - 2000)
    found = recorded.stretch(past.settings, past.between_ms, None)
    starts = {partition: state.next_offset for partition, state in found.journal.starting().items()}
    assert set(starts) == {0, 1, 2, 3}
    assert all(0 < starts[p] <= found.asked[p][0] for p in starts)
    first = {}
    for record in found.journal.records:
        first.setdefault(record.partition, record.offset)
    assert first == starts
    part = past.headrace("replay", "--from", start, "--to", end).stdout
    assert part.endswith(", equal\n")
    assert 0 < int(part.split()[0]) < len(past.watch.tally.decisions)


def moment(at_ms):
    """A moment as the command takes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at_ms / 1000)) + f".{at_ms % 1000:03d}Z"


def test_an_exported_stretch_replays_to_the_same_bytes(past):
    file, decided = past.directory / "journal.jsonl", past.directory / "decisions.jsonl"
    past.headrace("journal", "export", str(file), "--from", moment(past.between_ms))
    kinds = ["snapshot" if "snapshot" in json.loads(line) else "fact" for line in file.open()]
    assert sum(before != after for before, after in pairwise(kinds)) == 1
    assert kinds[:5] == ["snapshot"] * 4 + ["fact"]
    replayed = past.headrace("replay", "--journal", str(file), "-o", "jsonl").stdout.splitlines()
    low, high = client.borders(past.settings, DECISIONS)
    on_topic = {message.value.decode() for message in client.read_topic(past.settings, DECISIONS, low, high)}
    assert len(replayed) > 4
    assert set(replayed) <= on_topic
    decided.write_text("\n".join(replayed) + "\n")
    assert past.headrace("replay", "--journal", str(file), "--decisions", str(decided)).stdout.endswith(", equal\n")
    decided.write_text("\n".join(replayed).replace('"to_replicas":', '"to_replicas":1', 1) + "\n")
    differs = past.headrace("replay", "--journal", str(file), "--decisions", str(decided), code=1)
    assert "to_replicas" in differs.stderr


def test_policy_changes_are_listed_with_who_and_why(past):
    shown = past.headrace("policy", "list", "--history").stdout.splitlines()
    assert [line for line in shown if "ann" in line and "first" in line]
    assert [line for line in shown if "bob" in line and "cooler, for the sale" in line]
    changed = [one for one in past.watch.tally.decisions.values() if one.reason == "POLICIES_CHANGED"]
    assert {(one.evidence["author"], one.evidence["message"]) for one in changed} == {
        ("ann", "first"), ("bob", "cooler, for the sale"),
    }  # fmt: skip
    journal = past.headrace("journal", "cat", "--kind", "command").stdout
    assert "pause web by eve: lunch" in journal


def test_every_decision_is_listed_as_it_was_recorded_and_explained(past):
    tally = past.watch.tally
    listed = past.headrace("decisions", "-n", "10000", "-o", "json").stdout.splitlines()
    assert {json.loads(line)["id"] for line in listed} == set(tally.decisions)
    first, last = past.scalings("web")[0], past.scalings("web")[-1]
    assert "target 60" in past.headrace("explain", first.id).stdout
    said = past.headrace("explain", last.id).stdout
    assert "target 40" in said
    assert "done" in said


def test_what_the_journal_has_lost_is_not_needed_where_a_snapshot_is(past):
    """The last test of the module: the beginning of the journal goes, as after eight days."""
    found = recorded.stretch(past.settings, past.between_ms, None)
    starts = {partition: state.next_offset for partition, state in found.journal.starting().items()}
    admin = AdminClient(past.settings.librdkafka())
    gone = admin.delete_records([TopicPartition(JOURNAL, p, offset) for p, offset in starts.items()])
    for future in gone.values():
        future.result(20)
    assert past.headrace("replay", "--from", moment(past.between_ms)).stdout.endswith(", equal\n")
    rest = past.headrace("replay").stdout  # from as early as can be
    assert rest.endswith(", equal\n")
    assert 0 < int(rest.split()[0]) < len(past.watch.tally.decisions)
