"""What is not as it should be is said at the start: one sentence, no traceback, an exit code that is not 0."""

import socket
from time import sleep
from urllib.parse import urlsplit

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic

from app.local import ports
from app.stream import topics
from app.stream.topics import CHANGELOG, DECISIONS, JOURNAL, OUTCOMES, SNAPSHOTS
from tests.processes import wait_for
from tests.product import Product, policy

pytestmark = pytest.mark.timeout(120)

FAUST = ["faust", "-A", "app", "worker", "-l", "info"]


@pytest.fixture
def said(processes, headrace_env):
    """Start the product and wait for its end; what it said of itself, which is one sentence."""

    def said(*command, **more):
        running = processes.start(command or FAUST, headrace_env | more)
        wait_for(lambda: running.code is not None, 60, "it to end")
        assert running.code not in {0, -9, -15}
        assert "Traceback" not in running.text
        sentences = [line for line in running.text.splitlines() if line.startswith("headrace: ")]
        assert len(sentences) == 1, running.text
        return sentences[0]

    return said


def make_anew(settings, name, partitions):
    """Delete a topic; make it again with so many partitions, or not at all with 0."""
    admin = AdminClient(settings.librdkafka())
    admin.delete_topics([name])[name].result(30)
    wait_for(lambda: name not in admin.list_topics(timeout=20).topics, 30, f"{name} to be gone")
    if partitions:
        admin.create_topics([NewTopic(name, partitions, 1)])[name].result(30)
        wait_for(lambda: name in admin.list_topics(timeout=20).topics, 30, f"{name} to be there")


@pytest.mark.parametrize("app", ["app", "app.intake", "app.autoscaler", "app.router"])
def test_a_missing_topic_is_named_with_the_command_that_makes_it(clean, said, app):
    make_anew(clean, DECISIONS, 0)
    sentence = said("faust", "-A", app, "worker", "-l", "info")
    assert sentence == f"headrace: topic {DECISIONS} is missing; make it with `headrace topics init`."


def test_a_changelog_of_another_size_than_the_journal_is_refused(clean, said):
    make_anew(clean, CHANGELOG, 3)
    assert f"topic {CHANGELOG} has 3 partitions and needs 4" in said()


def test_settings_of_topics_that_differ_are_named(clean, said):
    differ = (
        (JOURNAL, "message.timestamp.type", "CreateTime"), (JOURNAL, "retention.ms", "1000"),
        (CHANGELOG, "cleanup.policy", "delete"), (SNAPSHOTS, "max.message.bytes", "1000000"),
    )  # fmt: skip
    configure(clean, *differ)
    sentence = said()
    for topic, key, value in differ:
        assert f"topic {topic} has {key}={value} and should have {key}=" in sentence


def configure(settings, *differ):
    """Set topics' settings to other values."""
    admin = AdminClient(settings.librdkafka())
    for topic, key, value in differ:
        entry = ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
        admin.incremental_alter_configs([resource])[resource].result(20)


def test_topics_may_be_kept_longer_but_for_the_journal_which_must_not_outlive_the_ledger(clean):
    configure(clean, (DECISIONS, "retention.ms", "-1"), (OUTCOMES, "retention.ms", str(500 * topics.DAY_MS)))
    wait_for(lambda: topics.check(clean) == [], 20, "longer retention to be right")
    configure(clean, (JOURNAL, "retention.ms", "-1"), (OUTCOMES, "retention.ms", str(300 * topics.DAY_MS)))
    wrong = wait_for(lambda: len(found := topics.check(clean)) == 2 and found, 20, "both to be told")
    assert [line.split(" has ")[0] for line in wrong] == [f"topic {JOURNAL}", f"topic {OUTCOMES}"]


def test_a_port_for_metrics_that_another_app_has_is_named(clean, said):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"port {port} of HEADRACE_METRICS_PORT cannot be had" in said(HEADRACE_METRICS_PORT=str(port))


def test_topics_with_fewer_replicas_than_are_wanted_are_named(clean, said):
    sentence = said(HEADRACE_REPLICATION="3")
    assert f"topic {JOURNAL} has 1 replicas and should have 3" in sentence
    assert f"topic {CHANGELOG} has min.insync.replicas=1 and should have min.insync.replicas=2" in sentence


def test_a_kafka_that_does_not_answer_is_named_with_its_setting(said):
    [port] = ports.free()
    sentence = said(HEADRACE_KAFKA_URL=f"kafka://127.0.0.1:{port}")
    assert f"127.0.0.1:{port}" in sentence
    assert "HEADRACE_KAFKA_URL" in sentence


def test_wrong_rabbitmq_credentials_are_named_without_the_password(clean, said):
    parts = urlsplit(clean.rabbitmq_url)
    wrong = clean.rabbitmq_url.replace(f":{parts.password}@", ":wr0ng@")
    sentence = said(HEADRACE_RABBITMQ_URL=wrong)
    assert "HEADRACE_RABBITMQ_URL" in sentence
    assert "wr0ng" not in sentence


def test_a_setting_that_is_none_is_named(said):
    assert "HEADRACE_CHECKPOINT_S" in said(HEADRACE_CHECKPOINT_S="often")


def test_a_rabbitmq_that_is_away_is_no_reason_to_end_and_does_not_delay_the_end(session, tmp_path):
    [port] = ports.free()
    with Product(session.have("kafka", "rabbitmq", "redis"), tmp_path) as product:
        running = product.stream(HEADRACE_RABBITMQ_URL=f"amqp://guest:guest@127.0.0.1:{port}//", HEADRACE_STALL_S="12")
        product.apply(policy())
        product.send("instances", {"service": "web", "wanted": 1, "ready": 1})
        product.send("metrics", {"host": "web-01", "cpu": 92})
        wait_for(lambda: product.scalings("web"), 30, "a decision")
        wait_for(lambda: "publishing_stands_still" in running.text, 20, "the router to wait with it")
        sleep(16)  # it has lag and does not move for longer than it may, and says why
        assert running.alive
        running.stop(10)
        assert running.code == 0
        assert "Traceback" not in running.text
        assert product.lag("router", DECISIONS) > 0
