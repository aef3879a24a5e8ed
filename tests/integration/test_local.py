"""The servers that this machine runs for us: they serve, keep their data, and never outlive us."""

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from amqp.exceptions import InternalError
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from kombu import Connection, Exchange, Queue
from redis import Redis as Client

from app.local import servers
from app.local.fleet import Fleet
from app.local.load import Point, Service
from app.local.process import Process, ServerUnavailable
from app.local.redis import Redis
from tasks.contract import fleet_key
from tests.faults import HOST, Proxy, speaks
from tests.fresh import written
from tests.processes import wait_for as wait


def _host(url):
    return url.split("://")[1]


def _values(url, topic, partition=0):
    consumer = Consumer({"bootstrap.servers": _host(url), "group.id": "look", "log_level": 0})
    try:
        _, end = wait(lambda: _borders(consumer, TopicPartition(topic, partition)), 30, f"a leader of {topic}")
        consumer.assign([TopicPartition(topic, partition, 0)])
        return [message.value() for message in consumer.consume(end, 20)] if end else []
    finally:
        consumer.close()


def _borders(consumer, at):
    """First and next offset; None while a broker that has just started is not the leader yet."""
    try:
        return consumer.get_watermark_offsets(at, 20)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.NOT_LEADER_FOR_PARTITION:
            return None
        raise


def _send(url, topic, value):
    producer = Producer({"bootstrap.servers": _host(url), "acks": "all", "log_level": 0})
    producer.produce(topic, value)
    assert producer.flush(20) == 0


def _topic(url, name):
    admin = AdminClient({"bootstrap.servers": _host(url), "log_level": 0})
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(20)


def test_kafka_keeps_what_it_acknowledged_when_it_is_killed(kafka):
    _topic(kafka.url, "kept")
    _send(kafka.url, "kept", b"before")
    kafka.kill()
    assert not kafka.running
    kafka.start()
    _send(kafka.url, "kept", b"after")
    assert _values(kafka.url, "kept") == [b"before", b"after"]


def test_kafka_keeps_its_data_over_a_clean_stop(kafka):
    _topic(kafka.url, "stopped")
    _send(kafka.url, "stopped", b"before")
    kafka.stop()
    kafka.start()
    assert _values(kafka.url, "stopped") == [b"before"]


def test_clients_of_kafka_stay_behind_the_proxy(kafka):
    _topic(kafka.url, "proxied")
    with Proxy(kafka.ports["proxied"], kafka.ports["proxy"]) as proxy:
        _send(kafka.proxied_url, "proxied", b"through")
        assert _values(kafka.proxied_url, "proxied") == [b"through"]
        admin = AdminClient({"bootstrap.servers": _host(kafka.proxied_url), "log_level": 0})
        assert {broker.port for broker in admin.list_topics(timeout=20).brokers.values()} == {proxy.port}
        proxy.refuse()
        with pytest.raises(KafkaException):
            admin.list_topics(timeout=1)
        proxy.heal()
        assert admin.list_topics(timeout=20).topics


def test_rabbitmq_keeps_what_it_confirmed_when_it_is_killed(rabbitmq):
    queue = Queue("kept", Exchange(""), routing_key="kept", queue_arguments={"x-queue-type": "quorum"})
    with Connection(rabbitmq.url, transport_options={"confirm_publish": True}) as connection:
        queue(connection).declare()
        connection.Producer().publish(b"one", routing_key="kept", delivery_mode=2, confirm_timeout=10)
    written(rabbitmq, "kept")
    rabbitmq.kill()
    assert not rabbitmq.running
    rabbitmq.start()

    def got():
        with suppress(InternalError), Connection(rabbitmq.url) as connection:  # the queue has no leader yet
            message = queue(connection).get()
            if message is not None:
                message.ack()
                return message.body
        return None

    assert wait(got, 90) == b"one"
    with Connection(rabbitmq.url) as connection:
        queue(connection).delete()


def test_a_frozen_server_hangs_until_it_is_thawed(redis):
    port = redis.ports["redis"]
    redis.freeze()
    assert redis.running
    assert speaks(port, 0.5) == b""
    redis.thaw()
    assert wait(lambda: speaks(port, 0.5), 10) == b"+PONG\r\n"


def test_redis_keeps_its_keys_when_it_is_killed(redis):
    with Client.from_url(redis.url) as client:
        client.set("kept", "1")
    redis.kill()
    redis.start()
    with Client.from_url(redis.url) as client:
        assert client.get("kept") == b"1"


def test_a_server_that_is_left_running_is_found_and_ended_by_another_process(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADRACE_KAFKA_URL", "kafka://127.0.0.1:1")
    monkeypatch.setenv("HEADRACE_RABBITMQ_URL", "amqp://127.0.0.1:1")
    monkeypatch.delenv("HEADRACE_REDIS_URL", raising=False)
    program = f"from pathlib import Path; from app.local import servers; servers.up(Path({str(tmp_path)!r}))"
    subprocess.run([sys.executable, "-c", program], check=True)
    env = servers.env(tmp_path)
    try:
        assert env["HEADRACE_KAFKA_URL"] == "kafka://127.0.0.1:1"
        with Client.from_url(env["HEADRACE_REDIS_URL"]) as client:
            assert client.ping()
        assert servers.up(tmp_path) == env  # a second time changes nothing
        monkeypatch.setenv("HEADRACE_REDIS_URL", env["HEADRACE_REDIS_URL"])
        assert servers.up(tmp_path) == env  # nor from a shell that took over what `up` printed
    finally:
        assert servers.down(tmp_path) == ["redis"]
    assert servers.down(tmp_path) == []
    with pytest.raises(ServerUnavailable, match="headrace local up"):
        servers.env(tmp_path)


@pytest.mark.parametrize("frozen", [False, True])
def test_servers_end_with_a_process_that_is_killed(tmp_path, frozen):
    program = (
        "import time; from pathlib import Path; from app.local.redis import Redis; "
        f"redis = Redis(Path({str(tmp_path)!r})); redis.start(); {'redis.freeze();' if frozen else ''} time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program])
    try:
        wait((tmp_path / "redis" / "process.json").exists, 30)
        found = wait(lambda: Process.saved(tmp_path / "redis" / "process.json"), 10)
        wait(lambda: _state(found.pid) == ("T" if frozen else "S"), 10)
        assert found.alive
    finally:
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
    wait(lambda: not found.alive, 30, "the server outlived its parent")


def _state(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_process_that_took_the_number_of_ours_is_not_ours(tmp_path):
    file = tmp_path / "process.json"
    file.write_text(json.dumps({"pid": os.getpid(), "began": "another time"}))
    assert Process.saved(file) is None


def test_a_server_that_ends_while_starting_says_its_last_words(tmp_path):
    redis = Redis(tmp_path)
    redis.ports["redis"] = 99_999
    with pytest.raises(ServerUnavailable, match=r"Redis ended while starting: .*see .*log"):
        redis.start()


def test_the_fleet_cools_when_it_is_scaled_and_tells_of_its_instances(clean, wait_for):
    flat = (Service("web", 2, (Point(0, 160), Point(600, 160))),)
    with Client.from_url(clean.redis_url) as client, Fleet(clean, flat, period_s=0.05) as fleet:
        wait_for(lambda: "web" in fleet.seen, 10)
        assert fleet.seen["web"].cpu == pytest.approx(80, abs=2)
        client.hset(fleet_key("web"), mapping={"replicas": 4, "generation": 7})
        wait_for(lambda: fleet.seen["web"].ready == 4, 20)
        assert fleet.seen["web"].cpu == pytest.approx(40, abs=2)
    assert fleet.failure is None
    url = clean.kafka_url
    samples = [json.loads(value) for p in range(4) for value in _values(url, "metrics", p)]
    assert len(samples) == fleet.samples
    assert {sample["host"] for sample in samples} == {"web-01", "web-02", "web-03", "web-04"}
    reports = [json.loads(value) for p in range(4) for value in _values(url, "instances", p)]
    found = {(r["wanted"], r["ready"], r["generation"]) for r in reports}
    assert found == {(2, 2, 0), (4, 2, 7), (4, 4, 7)}


def test_the_fleet_says_when_it_cannot_go_on(clean, wait_for):
    flat = (Service("web", 2, (Point(0, 160), Point(600, 160))),)
    with Client.from_url(clean.redis_url) as client, Fleet(clean, flat, period_s=0.05) as fleet:
        wait_for(lambda: "web" in fleet.seen, 10)
        client.hset(fleet_key("web"), "replicas", "many")
        wait_for(lambda: fleet.failure, 10)
    assert isinstance(fleet.failure, ValueError)


def test_a_hole_holds_everything_back_until_it_is_healed(redis, wait_for):
    port = redis.ports["redis"]
    with Proxy(port) as proxy:
        assert speaks(proxy.port) == b"+PONG\r\n"
        proxy.hole()
        with socket.create_connection((HOST, proxy.port), timeout=5) as peer:
            peer.sendall(b"PING\r\n")
            peer.settimeout(0.3)
            with pytest.raises(TimeoutError):
                peer.recv(16)
            proxy.heal()
            peer.settimeout(5)
            assert peer.recv(16) == b"+PONG\r\n"
            proxy.cut()
            with suppress(ConnectionResetError):
                assert peer.recv(16) == b""
        assert speaks(proxy.port) == b"+PONG\r\n"
        wait_for(lambda: proxy.connections == 0, 5)


def test_a_delay_is_added_each_way(redis):
    with Proxy(redis.ports["redis"]) as proxy:
        proxy.delay(0.3)
        assert speaks(proxy.port, 0.25) == b""
        assert speaks(proxy.port, 10) == b"+PONG\r\n"
