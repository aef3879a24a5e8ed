"""Containers, with a program in Docker's place that notes what it is asked: no engine is here to ask."""

import json

import pytest

from app.local import docker_engine
from app.local.docker_engine import KafkaContainer, RabbitContainer, RedisContainer
from app.local.process import ServerUnavailable

FAKE = """#!/bin/sh
echo "$@" >> {asked}
case $1 in
  run) touch {up}; echo abc123;;
  start) touch {up};;
  stop|kill) rm -f {up};;
  inspect) [ -e {up} ] && echo true || echo false;;
  rm) [ -e {refuses} ] && {{ echo "no such container" >&2; exit 1; }};;
  pause) [ -e {refuses} ] && {{ echo "Cannot connect to the Docker daemon" >&2; exit 1; }};;
esac
exit 0
"""


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """The commands that Docker was given."""
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    paths = {name: tmp_path / name for name in ("asked", "up", "refuses")}
    program.write_text(FAKE.format(**paths))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    for kind in (KafkaContainer, RabbitContainer, RedisContainer):
        monkeypatch.setattr(kind, "_serves", lambda self: True)
    return paths


def _verbs(docker):
    return [line.split()[0] for line in docker["asked"].read_text().splitlines() if not line.startswith("inspect")]


def test_a_container_is_made_once_and_started_again_with_its_data(docker, tmp_path):
    redis = RedisContainer(tmp_path)
    redis.start()
    assert redis.running
    redis.kill()
    assert not redis.running
    redis.start()
    redis.freeze()
    redis.thaw()
    redis.stop()
    assert _verbs(docker) == ["run", "kill", "start", "pause", "unpause", "stop"]


def test_another_process_finds_the_container_and_its_port(docker, tmp_path):
    first = RedisContainer(tmp_path, attached=False)
    first.start()
    again = RedisContainer(tmp_path, attached=False)
    assert again.running
    assert again.url == first.url


def test_a_removed_container_is_forgotten(docker, tmp_path):
    redis = RedisContainer(tmp_path)
    redis.start()
    redis.remove()
    assert not redis.running
    assert _verbs(docker) == ["run", "rm"]


def test_kafka_listens_inside_on_the_ports_that_it_advertises(docker, tmp_path):
    kafka = KafkaContainer(tmp_path)
    kafka.start()
    run = next(line for line in docker["asked"].read_text().splitlines() if line.startswith("run"))
    config = (tmp_path / "kafka" / "server.properties").read_text()
    port = kafka.ports["kafka"]
    assert f"--publish=127.0.0.1:{port}:{port}" in run
    assert f"listeners=PLAINTEXT://0.0.0.0:{port}" in config
    assert f"advertised.listeners=PLAINTEXT://127.0.0.1:{port}" in config
    assert f"127.0.0.1:{kafka.ports['proxy']}:" not in run  # the proxy listens there


def test_rabbitmq_gets_the_products_topology(docker, tmp_path):
    rabbit = RabbitContainer(tmp_path)
    rabbit.start()
    known = json.loads((tmp_path / "rabbitmq" / "definitions.json").read_text())
    assert {queue["name"] for queue in known["queues"]} >= {"scale", "notify"}
    assert rabbit.env["HEADRACE_RABBITMQ_API"].endswith(str(rabbit.ports["management"]))


def test_dockers_own_words_are_passed_on(docker, tmp_path):
    redis = RedisContainer(tmp_path)
    redis.start()
    docker["refuses"].touch()
    with pytest.raises(ServerUnavailable, match="`docker pause` failed: Cannot connect"):
        redis.freeze()


def test_an_engine_that_does_not_answer_is_none(docker, tmp_path, monkeypatch):
    assert docker_engine.answers()
    (tmp_path / "bin" / "docker").write_text("#!/bin/sh\nexit 1\n")
    assert not docker_engine.answers()
