"""Where a server comes from, and what is said when it cannot be had."""

import subprocess

import pytest

from app.local import docker_engine, install, ports, servers
from app.local.guard import listed
from app.local.kafka import Kafka
from app.local.process import ServerUnavailable, last_words
from app.settings import Settings


@pytest.fixture
def bare(monkeypatch):
    """A machine that has nothing."""
    said = []
    monkeypatch.setattr(Kafka, "missing", staticmethod(lambda: ["java", "mvn"]))
    monkeypatch.setattr(docker_engine, "answers", lambda: False)
    monkeypatch.setattr(install, "possible", lambda: False)
    monkeypatch.setattr(install, "install", lambda programs, say: said.append(programs))
    return said


def _choose(**settings):
    return servers._chosen("kafka", Settings(**settings), lambda line: None)


def test_installed_programs_come_first(bare, monkeypatch):
    monkeypatch.setattr(Kafka, "missing", staticmethod(list))
    monkeypatch.setattr(docker_engine, "answers", lambda: True)
    assert _choose() is Kafka


def test_docker_comes_before_installing(bare, monkeypatch):
    monkeypatch.setattr(docker_engine, "answers", lambda: True)
    monkeypatch.setattr(install, "possible", lambda: True)
    assert _choose() is docker_engine.KafkaContainer
    assert bare == []


def test_what_is_missing_is_installed_where_that_is_possible(bare, monkeypatch):
    monkeypatch.setattr(install, "possible", lambda: True)
    answers = iter([["mvn"], []])
    monkeypatch.setattr(Kafka, "missing", staticmethod(lambda: next(answers)))
    assert _choose() is Kafka
    assert bare == [["mvn"]]


def test_nothing_is_installed_where_it_is_forbidden(bare, monkeypatch):
    monkeypatch.setattr(install, "possible", lambda: True)
    with pytest.raises(ServerUnavailable) as error:
        _choose(install=False)
    assert bare == []
    assert "apt-get install default-jre-headless maven" in str(error.value)


def test_a_server_that_cannot_be_had_is_one_sentence_with_each_way_out(bare):
    with pytest.raises(ServerUnavailable) as error:
        _choose()
    text = str(error.value)
    for part in ("Kafka needs java and mvn", "apt-get install", "start Docker", "HEADRACE_KAFKA_URL"):
        assert part in text
    assert "\n" not in text


def test_a_setting_comes_before_everything(bare, monkeypatch, tmp_path):
    monkeypatch.setenv("HEADRACE_KAFKA_URL", "kafka://k:1")
    found = servers.start(tmp_path, rabbitmq=False, redis=False)
    assert found.env == {"HEADRACE_KAFKA_URL": "kafka://k:1"}
    assert found.kafka is None


def test_a_given_rabbitmq_brings_its_management_api(monkeypatch, tmp_path):
    monkeypatch.setenv("HEADRACE_RABBITMQ_URL", "amqp://r:1")
    monkeypatch.setenv("HEADRACE_RABBITMQ_API", "http://r:2")
    found = servers.start(tmp_path, kafka=False, redis=False)
    assert found.env == {"HEADRACE_RABBITMQ_URL": "amqp://r:1", "HEADRACE_RABBITMQ_API": "http://r:2"}


def test_ports_stay_the_same_for_the_same_data(tmp_path):
    first = ports.kept(tmp_path / "ports.json", ["a", "b"])
    assert ports.kept(tmp_path / "ports.json", ["a", "b"]) == first
    assert len(set(first.values())) == 2


def test_a_port_that_somebody_took_is_replaced_unless_it_is_ours(tmp_path, monkeypatch):
    first = ports.kept(tmp_path / "ports.json", ["a"])
    monkeypatch.setattr(ports, "is_free", lambda port: port != first["a"])
    assert ports.kept(tmp_path / "ports.json", ["a"], in_use=True) == first
    assert ports.kept(tmp_path / "ports.json", ["a"]) != first


def test_the_guard_forgets_what_ended_by_itself():
    assert listed(["+12\n", "+13\n", "-12\n"]) == {13}


def test_last_words_are_those_of_this_start(tmp_path):
    log = tmp_path / "log"
    log.write_text("old\n")
    since = log.stat().st_size
    log.write_text("old\nnew\nnewest\n")
    assert last_words(log, since=since) == "new / newest"
    assert last_words(tmp_path / "none") == "nothing"


def test_installing_is_said_first_and_starts_no_service(monkeypatch):
    happened = []

    def run(command, **_):
        happened.append(" ".join(command))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(install.subprocess, "run", run)
    install.install(["mvn", "java"], happened.append)
    assert happened[0] == "installing default-jre-headless, maven with apt-get (HEADRACE_INSTALL=no forbids it)"
    assert happened[1].endswith("update")
    assert happened[2].endswith("install --no-install-recommends default-jre-headless maven")
    assert "RUNLEVEL=1" in happened[2]


def test_apts_own_words_are_passed_on(monkeypatch):
    failed = subprocess.CompletedProcess([], 100, "", "reading\nE: Unable to locate package maven\n")
    monkeypatch.setattr(install.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(ServerUnavailable, match="Unable to locate package maven"):
        install.install(["mvn"], lambda line: None)
