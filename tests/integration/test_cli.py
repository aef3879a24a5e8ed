"""The command on a real Kafka (and Redis, RabbitMQ for doctor): what it writes, what it reads, what it says."""

import json
import re
import time
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from typer.testing import CliRunner

from app.cli import root
from app.policy import decision as decisions
from app.policy.facts import Genesis, PolicySet, Record, decode, encode
from app.policy.state import empty, pack
from app.policy.step import step
from app.settings import settings as current
from app.stream import client
from app.stream.topics import CHANGELOG, CONTROL, DECISIONS, JOURNAL, OUTCOMES, QUARANTINE, SNAPSHOTS
from app.wire.quarantine import quarantined
from app.wire.rules import Raw
from tasks.contract import Kind, Outcome, Status
from tasks.contract import encode as encode_outcome
from tests.unit.policy.builders import Journal, policy

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def run(clean, headrace_env, monkeypatch):
    """Runs a command against the servers of the session."""
    for name, value in headrace_env.items():
        monkeypatch.setenv(name, value)
    current.cache_clear()

    def run(*arguments):
        return CliRunner().invoke(root, list(arguments))

    yield run
    current.cache_clear()


def values(settings, topic):
    low, end = client.borders(settings, topic)
    return [message.value for message in client.read_topic(settings, topic, low, end)]


def delete(settings, *names):
    admin = AdminClient(settings.librdkafka())
    for future in admin.delete_topics(list(names)).values():
        future.result(30)
    deadline = time.monotonic() + 30
    while set(names) & set(client.reach(settings)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return admin


def test_topics_are_made_once_and_then_right(run, clean):
    delete(clean, QUARANTINE, "metrics")
    assert run("topics", "check").exit_code == 1
    made = run("topics", "init")
    assert sorted(made.stdout.split()) == sorted(["made", QUARANTINE, "made", "metrics"])
    assert run("topics", "init").stdout == "nothing to make: all topics exist\n"
    assert run("topics", "check").stdout == "the topics are right\n"


def test_a_missing_topic_and_a_wrong_partition_count_are_a_sentence_each(run, clean):
    admin = delete(clean, DECISIONS, QUARANTINE)
    admin.create_topics([NewTopic(DECISIONS, 3, 1)])[DECISIONS].result(30)
    result = run("topics", "check")
    assert result.exit_code == 1
    assert f"topic {QUARANTINE} is missing; make it with `headrace topics init`" in result.stdout
    assert f"topic {DECISIONS} has 3 partitions and needs 4" in result.stdout
    doctor = run("doctor")
    assert doctor.exit_code == 1
    assert f"topic {DECISIONS} has 3 partitions and needs 4" in doctor.stdout
    listed = run("quarantine")
    assert listed.exit_code == 1
    assert listed.stderr.startswith(f"headrace: topic {QUARANTINE} is missing")


def test_applied_policies_are_on_the_control_topic_with_who_and_why(run, clean, tmp_path):
    (tmp_path / "web.yaml").write_text(policy(target=70))
    result = run("policy", "apply", str(tmp_path), "-m", "black friday", "--author", "ann")
    assert result.exit_code == 0, result.output
    fact = json.loads(values(clean, CONTROL)[0])
    assert "source" not in fact
    assert (fact["kind"], fact["author"], fact["message"]) == ("policy_set", "ann", "black friday")
    assert [one["name"] for one in fact["policies"]] == ["web"]
    listed = run("policy", "list")
    assert "web" in listed.stdout
    assert "by ann at " in listed.stderr
    assert "black friday" in listed.stderr


def test_a_bad_policy_file_leaves_the_policies_in_force(run, clean, tmp_path):
    (tmp_path / "web.yaml").write_text(policy(most=0))
    assert run("policy", "apply", str(tmp_path)).exit_code == 1
    assert values(clean, CONTROL) == []


def test_a_pause_and_its_end_are_on_the_control_topic(run, clean):
    assert run("pause", "web", "--reason", "lunch", "--for", "30m", "--author", "ann").exit_code == 0
    assert run("resume", "web", "--author", "bob").exit_code == 0
    pause, resume = [json.loads(value) for value in values(clean, CONTROL)]
    assert (pause["kind"], pause["verb"], pause["service"], pause["reason"]) == ("command", "pause", "web", "lunch")
    assert pause["until_ms"] - pause["at_ms"] == pytest.approx(1_800_000, abs=5_000)
    assert (resume["verb"], resume["author"], resume["until_ms"]) == ("resume", "bob", 0)


def test_what_is_sent_is_on_the_topic_of_its_kind(run, clean, tmp_path):
    assert run("send", "web", "cpu=92", "--host", "web-03").exit_code == 0
    assert run("send", "web", "--deploy", "1.2").exit_code == 0
    file = tmp_path / "more.jsonl"
    file.write_text('{"host":"web-01","cpu":1}\n\n{"service":"web","wanted":3,"ready":3}\n')
    assert run("send", "--file", str(file)).stdout == "sent 1 to instances\nsent 1 to metrics\n"
    samples = [json.loads(value) for value in values(clean, "metrics")]
    assert {"service": "web", "host": "web-03", "cpu": 92.0} in samples
    assert {"host": "web-01", "cpu": 1} in samples
    event = json.loads(values(clean, "deploy_events")[0])
    assert (event["type"], event["service"], event["version"]) == ("deployed", "web", "1.2")
    assert len(values(clean, "instances")) == 1


def test_what_is_in_quarantine_is_listed_with_its_reason_and_place(run, clean):
    bad = quarantined(Raw("metrics", "id", 2, 41, 1_750_000_000_000, None, b"\x00not json"), "is no JSON")
    other = quarantined(Raw("deploy_events", "id", 0, 1, 1_750_000_000_000, None, None), "is empty")
    client.send(clean, [client.Outgoing(QUARANTINE, one.encode(), partition=0) for one in (bad, other)])
    shown = run("quarantine", "--topic", "metrics").stdout
    assert "metrics/2/41" in shown
    assert "is no JSON" in shown
    assert "·not json" in shown
    assert "deploy_events" not in shown
    assert len(run("quarantine", "-o", "json").stdout.splitlines()) == 2


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
            consumer.commit(offsets=at, asynchronous=False)

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


def test_doctor_finds_nothing_wrong_with_right_servers(run):
    result = run("doctor")
    assert "wrong" not in result.stdout, result.stdout
    assert result.exit_code == 0


def test_doctor_tells_a_redis_that_forgets(run, clean):
    from redis import Redis

    with Redis.from_url(clean.redis_url) as redis:
        was = redis.config_get("maxmemory-policy")["maxmemory-policy"]
        redis.config_set("maxmemory-policy", "allkeys-lru")
        try:
            result = run("doctor")
        finally:
            redis.config_set("maxmemory-policy", was)
    assert result.exit_code == 1
    assert "maxmemory-policy is allkeys-lru" in result.stdout


def test_doctor_says_what_half_a_set_up_leaves_out(run, monkeypatch):
    monkeypatch.setenv("HEADRACE_RABBITMQ_URL", "")
    current.cache_clear()
    result = run("doctor")
    assert "stream only" in result.stdout
    assert result.exit_code == 0


def test_wrong_credentials_are_a_sentence_that_shows_no_secret(run, clean, monkeypatch):
    monkeypatch.setenv("HEADRACE_KAFKA_USERNAME", "ann")
    monkeypatch.setenv("HEADRACE_KAFKA_PASSWORD", "hunter2")
    current.cache_clear()
    result = run("doctor")
    assert result.exit_code == 1
    assert "HEADRACE_KAFKA_USERNAME" in result.stdout
    assert "hunter2" not in result.stdout


def test_a_read_ends_although_kafka_stops_answering_in_the_middle(clean, kafka, monkeypatch):
    monkeypatch.setattr(client, "TIMEOUT_S", 2.0)
    low, end = client.borders(clean, JOURNAL)
    kafka.freeze()
    with pytest.raises(client.KafkaUnavailable, match="sent nothing for 2 s in the middle of a read"):
        list(client.read_topic(clean, JOURNAL, low, end))


def test_an_unreachable_broker_is_one_sentence(run, monkeypatch):
    monkeypatch.setenv("HEADRACE_KAFKA_URL", "kafka://127.0.0.1:1")
    current.cache_clear()
    for command in (["topics", "init"], ["topics", "check"], ["decisions"], ["quarantine"], ["policy", "list"]):
        result = run(*command)
        assert result.exit_code == 1
        assert result.stderr.startswith("headrace: Kafka does not answer at 127.0.0.1:1")
        assert result.stderr.count("\n") == 1


def test_up_runs_everything_and_ends_it_on_a_signal(run, processes, headrace_env, wait_for):
    running = processes.start(["headrace", "up", "--workers", "1"], headrace_env)
    wait_for(lambda: "worker-1" in running.text and "ready." in running.text, 90, "a worker that is ready")
    pids = [int(pid) for pid in re.findall(r"started, process (\d+)", running.text)]
    assert len(pids) == 2
    wait_for(
        lambda: run("journal", "cat", "--kind", "tick", "--from", "-1m").stdout, 90, "an intake that tells the time"
    )
    running.process.child.terminate()
    wait_for(lambda: not running.alive, 60, "the end")
    assert running.code == 0, running.text[-2000:]
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
