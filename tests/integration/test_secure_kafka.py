"""The main job on a Kafka that is not open to everybody: each way of saying who one is, and what is refused."""

import pytest

from tests.processes import last_lines, wait_for
from tests.product import Product, policy
from tests.secure_kafka import LISTENERS, PASSWORD, SecureKafka

pytestmark = pytest.mark.timeout(150)


@pytest.fixture(scope="module")
def secure(tmp_path_factory):
    made = SecureKafka(tmp_path_factory.mktemp("secure"))
    made.start()
    made.know()
    yield made
    made.kill()


@pytest.mark.parametrize("listener", LISTENERS)
def test_a_sample_is_acted_on_and_the_outcome_comes_back(secure, session, tmp_path, listener):
    servers = session.have("rabbitmq", "redis")
    with Product(servers, tmp_path / "product", **secure.settings(listener)) as product:
        worker, stream = product.worker(), product.stream()
        product.apply(policy())
        product.send("metrics", {"host": "web-03", "cpu": 92})
        decision = wait_for(lambda: product.scalings("web"), 40, "a scaling of web")[0]
        outcome = wait_for(lambda: product.watch.tally.outcomes.get(decision.id), 30, "its outcome")
        assert outcome.status == "done"
        assert "ok" in product.headrace("doctor").stdout
        for program in (worker, stream):
            program.stop(15)  # over TLS a stream process waited for half a minute for the brokers' goodbye
            assert PASSWORD not in program.text
            assert program.code == 0, last_lines(program, 30)


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
def test_what_is_wrong_is_one_sentence_and_no_secret(secure, processes, listener, wrong, why):
    env = secure.settings(listener) | {"HEADRACE_RABBITMQ_URL": ""} | wrong
    env = {name: value for name, value in env.items() if value is not None}
    stream = processes.start(["faust", "-A", "app", "worker", "-l", "info"], env)
    wait_for(lambda: not stream.alive, 60, "it to give up")
    assert stream.code == 1
    (said,) = [line for line in stream.text.splitlines() if line.startswith("headrace: ")]
    assert why in said
    assert "Traceback" not in stream.text
    assert PASSWORD not in stream.text
