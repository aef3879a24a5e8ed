"""The main job on servers that are not open to everybody: each way of saying who one is, and what is refused."""

import pytest

from app.local.process import ServerUnavailable
from tests.processes import last_lines, wait_for
from tests.product import Product, policy
from tests.rig import scaling, worker
from tests.secure import LISTENERS, PASSWORD, SecureKafka, SecureRabbitMQ, SecureRedis

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
        doer, stream = product.worker(), product.stream()
        product.apply(policy())
        product.send("metrics", {"host": "web-03", "cpu": 92})
        decision = wait_for(lambda: product.scalings("web"), 40, "a scaling of web")[0]
        outcome = wait_for(lambda: product.watch.tally.outcomes.get(decision.id), 30, "its outcome")
        assert outcome.status == "done"
        assert "ok" in product.headrace("doctor").stdout
        for program in (doer, stream):
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


@pytest.fixture(scope="module")
def rabbitmq_tls(tmp_path_factory):
    made = SecureRabbitMQ(tmp_path_factory.mktemp("secure"))
    made.start()
    yield made
    made.kill()


def test_rabbitmq_is_spoken_to_over_tls_by_everybody(rabbitmq_tls, session, tmp_path):
    own = {"HEADRACE_RABBITMQ_URL": rabbitmq_tls.secure_url, "HEADRACE_RABBITMQ_API": rabbitmq_tls.api}
    with Product(session.have("kafka", "rabbitmq", "redis"), tmp_path / "product", **own) as product:
        product.env["SSL_CERT_FILE"] = str(rabbitmq_tls.ca)
        doer, stream = product.worker(), product.stream()
        product.apply(policy())
        product.send("metrics", {"host": "web-03", "cpu": 92})
        decision = wait_for(lambda: product.scalings("web"), 40, "a scaling of web")[0]
        outcome = wait_for(lambda: product.watch.tally.outcomes.get(decision.id), 30, "its outcome")
        assert outcome.status == "done"
        product.headrace("queues", "check")
        for program in (doer, stream):
            program.stop(15)
            assert program.code == 0, last_lines(program, 30)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_rabbitmq_that_cannot_show_who_it_is_gets_nothing(rabbitmq_tls, session, processes, host):
    """Its certificate is by nobody whom the machine knows, or for another name: no queue is asked, no action taken."""
    url = rabbitmq_tls.secure_url.replace("127.0.0.1", host)
    env = {"HEADRACE_KAFKA_URL": session.have("kafka").kafka_url, "HEADRACE_RABBITMQ_URL": url}
    env |= {"SSL_CERT_FILE": str(rabbitmq_tls.ca)} if host == "localhost" else {}
    made = processes.start(["headrace", "queues", "check"], env | {"HEADRACE_RABBITMQ_API": rabbitmq_tls.api})
    doer = processes.start(["celery", "-A", "tasks", "worker", "-l", "info", "-c", "1"], env)
    wait_for(lambda: not made.alive and "certificate verify failed" in doer.text, 30, "both to see it")
    assert made.code != 0
    assert "certificate verify failed" in made.text
    assert "Traceback" not in made.text
    assert "Connected to" not in doer.text


@pytest.fixture(scope="module")
def redis_tls(tmp_path_factory):
    made = SecureRedis(tmp_path_factory.mktemp("secure"))
    try:
        made.start()
    except ServerUnavailable as error:
        if "TLS support" in str(error):
            pytest.skip("this Redis was built without TLS: the one that is in Python's wheel is")
        raise
    yield made
    made.kill()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_redis_is_spoken_to_over_tls_and_only_if_it_can_show_who_it_is(redis_tls, rig, headrace_env, processes, host):
    """Its certificate is for 127.0.0.1 alone: by another name nothing is done, and the action waits."""
    running = worker(processes, headrace_env | {"HEADRACE_REDIS_URL": redis_tls.secure_url(host)})
    id_ = f"tls-{host}"
    rig.send(scaling(id_, host))
    if host == "localhost":
        wait_for(lambda: "certificate verify failed" in running.text, 30, "the worker to see it")
        assert rig.outcomes(id_) == []
    else:
        assert rig.ended(id_)[0].status == "done"
