"""The main job on servers that are not open to everybody: each way of saying who one is, and what is refused."""

from contextlib import contextmanager

import pytest

from tests.processes import last_lines, wait_for
from tests.product import Product, policy
from tests.rig import scaling, worker
from tests.secure import LISTENERS, PASSWORD, SecureKafka, SecureRabbitMQ, behind_tls

pytestmark = pytest.mark.timeout(150)


@contextmanager
def running(server):
    """The server while it runs."""
    server.start()
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="module")
def kafka_secure(tmp_path_factory):
    with running(SecureKafka(tmp_path_factory.mktemp("secure"))) as kafka:
        kafka.know()
        yield kafka


@pytest.fixture(scope="module")
def rabbitmq_tls(tmp_path_factory):
    with running(SecureRabbitMQ(tmp_path_factory.mktemp("secure"))) as rabbitmq:
        yield rabbitmq


def acts(product):
    """A sample is acted on, the outcome comes back, all is well, and everybody ends when asked to."""
    programs = [product.worker(), product.stream()]
    product.apply(policy())
    product.send("metrics", {"host": "web-03", "cpu": 92})
    decision = wait_for(lambda: product.scalings("web"), 40, "a scaling of web")[0]
    assert wait_for(lambda: product.watch.tally.outcomes.get(decision.id), 30, "its outcome").status == "done"
    product.headrace("doctor")
    product.headrace("queues", "check")
    for program in programs:
        program.stop(15)  # over TLS a stream process waited for half a minute for Kafka's goodbye
        assert program.code == 0, last_lines(program, 30)
        assert PASSWORD not in program.text


@pytest.mark.parametrize("listener", LISTENERS)
def test_kafka_is_told_who_we_are_by_everybody(kafka_secure, session, tmp_path, listener):
    servers = session.have("rabbitmq", "redis")
    with Product(servers, tmp_path / "product", **kafka_secure.settings(listener)) as product:
        acts(product)


@pytest.mark.parametrize(
    ("listener", "wrong", "why"),
    [
        ("sasl_ssl", {"HEADRACE_KAFKA_PASSWORD": "no"}, "refuses us"),
        ("sasl_ssl", {"HEADRACE_KAFKA_CA_FILE": None}, "refuses us"),
        ("ssl", {"HEADRACE_KAFKA_CERT_FILE": None, "HEADRACE_KAFKA_KEY_FILE": None}, "Kafka"),
        ("ssl", {"HEADRACE_KAFKA_KEY_FILE": None}, "need each other"),
        ("sasl_plaintext", {"HEADRACE_KAFKA_SECURITY": "sasl_ssl"}, "PLAINTEXT broker listener?"),
        ("sasl_ssl", {"HEADRACE_KAFKA_SECURITY": "ssl"}, "a user needs sasl_ssl or sasl_plaintext"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_no_secret(kafka_secure, processes, listener, wrong, why):
    env = kafka_secure.settings(listener) | {"HEADRACE_RABBITMQ_URL": ""} | wrong
    env = {name: value for name, value in env.items() if value is not None}
    stream = processes.start(["faust", "-A", "app", "worker", "-l", "info"], env)
    wait_for(lambda: not stream.alive, 60, "it to give up")
    assert stream.code == 1
    (said,) = [line for line in stream.text.splitlines() if line.startswith("headrace: ")]
    assert why in said
    assert "Traceback" not in stream.text
    assert PASSWORD not in stream.text


def test_rabbitmq_is_spoken_to_over_tls_by_everybody(rabbitmq_tls, session, tmp_path):
    own = {"HEADRACE_RABBITMQ_URL": rabbitmq_tls.secure_url, "HEADRACE_RABBITMQ_API": rabbitmq_tls.api}
    with Product(session.have("kafka", "rabbitmq", "redis"), tmp_path / "product", **own) as product:
        product.env["SSL_CERT_FILE"] = str(rabbitmq_tls.ca)
        acts(product)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_rabbitmq_that_cannot_show_who_it_is_gets_nothing(rabbitmq_tls, session, processes, host):
    """Its certificate is by nobody whom the machine knows, or for another name: no queue is asked, no action taken."""
    url = rabbitmq_tls.secure_url.replace("127.0.0.1", host)
    env = {"HEADRACE_KAFKA_URL": session.have("kafka").kafka_url, "HEADRACE_RABBITMQ_URL": url}
    env |= {"SSL_CERT_FILE": str(rabbitmq_tls.ca)} if host == "localhost" else {}
    check = processes.start(["headrace", "queues", "check"], env | {"HEADRACE_RABBITMQ_API": rabbitmq_tls.api})
    doer = processes.start(["celery", "-A", "tasks", "worker", "-l", "info", "-c", "1"], env)
    wait_for(lambda: not check.alive and "certificate verify failed" in doer.text, 30, "both to see it")
    assert check.code != 0
    assert "certificate verify failed" in check.text
    assert "Traceback" not in check.text
    assert "Connected to" not in doer.text


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_redis_is_spoken_to_over_tls_and_only_if_it_can_show_who_it_is(
    redis, rig, headrace_env, processes, tmp_path, host
):
    """Its certificate is for 127.0.0.1 alone: by another name nothing is done, and the action waits."""
    with behind_tls(redis, tmp_path) as proxy:
        url = f"rediss://{host}:{proxy.port}/0?ssl_ca_certs={tmp_path / 'ca.pem'}"
        doer = worker(processes, headrace_env | {"HEADRACE_REDIS_URL": url})
        rig.send(scaling(f"tls-{host}", host))
        if host == "localhost":
            wait_for(lambda: "certificate verify failed" in doer.text, 30, "the worker to see it")
            assert rig.outcomes(f"tls-{host}") == []
        else:
            assert rig.ended(f"tls-{host}")[0].status == "done"
        doer.kill()
