"""The commands that ask a recorded past, on a real Kafka."""

import json
import re
import time
from contextlib import closing, suppress
from uuid import uuid4

import msgspec
import pytest
from confluent_kafka import KafkaException

from app.policy import decision as decisions
from app.policy.facts import Genesis, PolicySet, Record, decode, encode
from app.policy.state import empty, pack
from app.policy.step import step
from app.stream import client
from app.stream.topics import CHANGELOG, DECISIONS, JOURNAL, OUTCOMES, SNAPSHOTS
from tasks.contract import Kind, Outcome, Status
from tasks.contract import encode as encode_outcome
from tests.processes import wait_for
from tests.unit.policy.builders import Journal, policy

pytestmark = pytest.mark.timeout(300)


class Past:
    """A recorded past on Kafka: what the apps would have written, made by `step` itself."""

    def __init__(self, settings):
        self.settings = settings
        _, end = client.borders(settings, JOURNAL)
        self.states = {p: empty(p) for p in end}
        self.decisions = []
        self.take(dict.fromkeys(end, 0))

    def take(self, start):
        """Decide about the facts from `start` on, and write the decisions."""
        outgoing = []
        _, end = client.borders(self.settings, JOURNAL)
        for message in client.read_topic(self.settings, JOURNAL, start, end):
            record = Record(message.partition, message.offset, message.timestamp_ms, decode(message.value))
            self.states[message.partition], decided = step(self.states[message.partition], record)
            self.decisions += decided
            outgoing += [
                client.Outgoing(DECISIONS, decisions.encode(one), one.service.encode(), message.partition)
                for one in decided
            ]
        client.send(self.settings, outgoing)

    def write(self, partition, *facts):
        _, end = client.borders(self.settings, JOURNAL)
        client.send(self.settings, [client.Outgoing(JOURNAL, encode(one), partition=partition) for one in facts])
        self.take({partition: end[partition]})

    def commit(self):
        from confluent_kafka import Consumer, TopicPartition

        with closing(Consumer(self.settings.librdkafka() | {"group.id": "auto-scaler"})) as consumer:
            at = [TopicPartition(JOURNAL, p, state.next_offset) for p, state in self.states.items()]

            def committed():
                with suppress(KafkaException):  # a killed worker is a member until its session ends
                    return consumer.commit(offsets=at, asynchronous=False)

            wait_for(committed, 30, "the group to be free")

    def keep(self, topic, partition):
        raw = pack(self.states[partition])
        client.send(self.settings, [client.Outgoing(topic, raw, str(partition).encode(), partition)])


@pytest.fixture
def past(clean):
    """A history of service `web` in its partition: policies, samples, a scaling, its outcome."""
    from app.policy.facts import partition_of

    made, facts = Past(clean), Journal()
    partition = partition_of("web", 4)
    facts.at_ms = time.time_ns() // 1_000_000
    facts.policies(policy(target=60, notify="people"))
    for one in range(4):
        facts.instances(3)
        facts.samples(*([92, 95, 90] if one % 2 else [60, 61, 59]))
    made.write(partition, *(record.fact for record in facts.records if not isinstance(record.fact, Genesis)))
    made.commit()
    made.partition = partition
    return made


def test_decisions_are_listed_and_in_json_are_as_they_were_recorded(run, clean, past):
    assert len(past.decisions) > 2
    shown = run("decisions", "--service", "web").stdout
    assert all(one.id in shown for one in past.decisions if one.service == "web")
    as_json = run("decisions", "-n", "100", "-o", "json").stdout.encode()
    assert as_json.splitlines() == [decisions.encode(one) for one in past.decisions]
    acted = run("decisions", "--actions", "-o", "json").stdout.splitlines()
    assert len(acted) == sum(one.action is not None for one in past.decisions)
    assert len(run("decisions", "-n", "1", "-o", "json").stdout.splitlines()) == 1


def test_a_recorded_past_replays_byte_for_byte(run, past):
    result = run("replay")
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{len(past.decisions)} decisions, equal\n"


def test_repeats_after_a_crash_are_counted_and_a_change_is_found(run, clean, past):
    first = past.decisions[0]
    again = client.Outgoing(DECISIONS, decisions.encode(first), first.service.encode(), past.partition)
    client.send(clean, [again])
    assert "(1 recorded more than once, with the same bytes)" in run("replay").stdout
    changed = msgspec.structs.replace(first, at_ms=1)
    client.send(clean, [client.Outgoing(DECISIONS, decisions.encode(changed), b"web", past.partition)])
    result = run("replay")
    assert result.exit_code == 1
    assert f"decision {first.id} was recorded twice, with two contents" in result.stderr


def test_facts_that_the_auto_scaler_has_not_committed_are_left_out(run, past):
    count = len(past.decisions)
    past.write(past.partition, PolicySet(Journal().source("later"), "f", [], "bob", "none", 1))
    result = run("replay")
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{count} decisions, equal\n"
    assert "the last 1 facts are left out" in result.stderr


def test_a_replay_from_a_moment_starts_at_the_snapshot_before(run, clean, past):
    past.keep(SNAPSHOTS, past.partition)
    time.sleep(0.05)
    from_ms = time.time_ns() // 1_000_000
    before = len(past.decisions)
    past.write(past.partition, PolicySet(Journal().source("later"), "f", [], "bob", "none", 1))
    past.commit()
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(from_ms / 1000)) + f".{from_ms % 1000:03d}"
    for partition in range(4):
        if partition != past.partition:
            past.keep(SNAPSHOTS, partition)
    result = run("replay", "--from", moment, "-o", "jsonl")
    assert result.exit_code == 0, result.output
    assert result.stdout.encode().splitlines() == [decisions.encode(one) for one in past.decisions[before:]]
    assert "1 decisions, equal" in result.stderr


def test_an_exported_journal_is_a_complete_test_case(run, past, tmp_path):
    file, lines = tmp_path / "case.jsonl", tmp_path / "decisions.jsonl"
    assert run("journal", "export", str(file)).exit_code == 0
    assert run("journal", "export", str(file)).exit_code == 1
    lines.write_text(run("decisions", "-n", "100", "-o", "json").stdout)
    result = run("replay", "--journal", str(file), "--decisions", str(lines))
    assert result.stdout == f"{len(past.decisions)} decisions, equal\n", result.output


def test_a_decision_is_explained_with_its_rule_and_its_outcome(run, clean, past, tmp_path):
    (tmp_path / "web.yaml").write_text(policy(target=60, notify="people"))
    run("policy", "apply", str(tmp_path))
    scaled = next(one for one in past.decisions if one.reason == "ABOVE_TARGET")
    outcome = Outcome(id=scaled.id, action=Kind.SCALE, service="web", status=Status.DONE, worker="w1", ended_at_ms=1)
    client.send(clean, [client.Outgoing(OUTCOMES, encode_outcome(outcome), b"web")])
    result = run("explain", scaled.id)
    assert result.exit_code == 0, result.output
    for part in ("scale 3 → 5", "done, by w1", "averageUtilization: 60", "between 54 and 66"):
        assert part in result.stdout
    unknown = run("explain", f"{scaled.id}9")
    assert unknown.exit_code == 1
    assert "is not recorded" in unknown.stderr


def test_the_state_of_a_service_is_the_one_written_last(run, past):
    assert "is the auto-scaler running?" in run("state", "web").stderr
    past.keep(CHANGELOG, past.partition)
    found = json.loads(run("state", "web", "-o", "json").stdout)
    assert found["memory"]["observed"]["replicas"] == 3
    assert found["policies"] == ["web"]
    assert re.search(r"series cpu host=web-0 +\d+ at ", run("state", "web").stdout)
    past.keep(CHANGELOG, past.partition)
    assert run("state", "web").exit_code == 0


def test_facts_are_shown_in_words(run, past):
    shown = run("journal", "cat").stdout
    assert "3 samples of web" in shown
    assert "web wants 3, 3 ready" in shown
    assert shown.count("genesis") == 4
    assert run("journal", "cat", "--to", "-1h").stdout == ""


def test_following_prints_what_comes(run, clean, past, processes, headrace_env, wait_for):
    following = processes.start(["headrace", "decisions", "--follow", "-n", "1", "-o", "json"], headrace_env)
    wait_for(lambda: following.text.count("\n") == 1, what="the past")
    one = msgspec.structs.replace(past.decisions[0], id=f"{uuid4().hex[:12]}-{past.partition}-1-0")
    client.send(clean, [client.Outgoing(DECISIONS, decisions.encode(one), b"web", past.partition)])
    wait_for(lambda: one.id in following.text, what="the one that came")
