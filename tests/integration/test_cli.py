"""The command on a real Kafka (and Redis, RabbitMQ for doctor): what it writes, what it reads, what it says."""

import json
import re
import time
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from redis import Redis

from app.settings import settings as current
from app.stream import client
from app.stream.topics import CONTROL, DECISIONS, JOURNAL, QUARANTINE
from app.wire.quarantine import quarantined
from app.wire.rules import Raw
from tests.unit.policy.builders import policy

pytestmark = pytest.mark.timeout(300)


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


def test_a_set_that_the_intake_would_refuse_is_not_handed_over(run, clean, tmp_path):
    (tmp_path / "web.yaml").write_text(policy())
    told = run("policy", "apply", str(tmp_path), "--author", "a" * 300)
    assert (told.exit_code, told.stdout) == (1, "")
    assert told.stderr.startswith("headrace: nothing was handed over, since it would be refused: 'author' has 300")
    assert values(clean, CONTROL) == []


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


def test_doctor_finds_nothing_wrong_with_right_servers(run):
    result = run("doctor")
    assert "wrong" not in result.stdout, result.stdout
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("name", "wrong", "why"),
    [("maxmemory-policy", "allkeys-lru", "may evict"), ("appendonly", "no", "a restart forgets")],
)
def test_doctor_tells_a_redis_that_forgets(run, clean, name, wrong, why):
    with Redis.from_url(clean.redis_url, decode_responses=True) as redis:
        was = redis.config_get(name)[name]
        redis.config_set(name, wrong)
        try:
            result = run("doctor")
        finally:
            redis.config_set(name, was)
    assert result.exit_code == 1
    assert f"{name} is {wrong}" in result.stdout
    assert why in result.stdout
    assert f"CONFIG SET {name} {was}" in result.stdout


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
    assert len(pids) == 3, "the stream side, a worker, the gateway"
    wait_for(
        lambda: run("journal", "cat", "--kind", "tick", "--from", "-1m").stdout, 90, "an intake that tells the time"
    )
    running.process.child.terminate()
    wait_for(lambda: not running.alive, 60, "the end")
    assert running.code == 0, running.text[-2000:]
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
