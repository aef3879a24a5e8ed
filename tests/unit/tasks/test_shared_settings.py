"""How Kafka is reached: what follows from what is set, and what does not fit together."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from app.settings import Settings as StreamSettings
from tasks.settings import Settings as WorkerSettings
from tasks.shared_settings import mistakes

CA, CERT, KEY = (Path(f"/etc/kafka/{name}.pem") for name in ("ca", "cert", "key"))
USER = {"kafka_username": "u", "kafka_password": "p"}


@pytest.mark.parametrize("settings", [StreamSettings, WorkerSettings])
@pytest.mark.parametrize(
    ("given", "protocol"),
    [
        ({}, "plaintext"),
        ({"kafka_ca_file": CA}, "ssl"),
        ({"kafka_cert_file": CERT, "kafka_key_file": KEY}, "ssl"),
        (USER, "sasl_ssl"),
        (USER | {"kafka_ca_file": CA}, "sasl_ssl"),
        (USER | {"kafka_security": "sasl_plaintext"}, "sasl_plaintext"),
        ({"kafka_security": "ssl"}, "ssl"),
    ],
)
def test_what_is_set_says_how_kafka_is_spoken_to(settings, given, protocol):
    made = settings(kafka_url="kafka://k:9093,l:9093", **given)
    config = made.librdkafka(acks="all")
    assert (config["bootstrap.servers"], config["acks"]) == ("k:9093,l:9093", "all")
    assert config["security.protocol"] == protocol.upper()
    assert ("sasl.password" in config) == made.kafka_sasl == protocol.startswith("sasl")
    assert made.kafka_tls == protocol.endswith("ssl")
    assert config.get("ssl.ca.location") == (str(CA) if "kafka_ca_file" in given else None)
    assert config.get("ssl.key.location") == (str(KEY) if "kafka_key_file" in given else None)


def test_the_password_of_a_user_goes_to_kafka_and_is_not_shown():
    made = StreamSettings(**USER, kafka_mechanism="PLAIN")
    config = made.librdkafka()
    assert (config["sasl.username"], config["sasl.password"], config["sasl.mechanism"]) == ("u", "p", "PLAIN")
    assert "'p'" not in repr(made)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"kafka_security": "sasl_ssl"}, "HEADRACE_KAFKA_SECURITY is sasl_ssl, so HEADRACE_KAFKA_USERNAME has to be"),
        (USER | {"kafka_security": "ssl"}, "a user needs sasl_ssl or sasl_plaintext"),
        ({"kafka_security": "plaintext", "kafka_ca_file": CA}, "they need ssl or sasl_ssl"),
        (USER | {"kafka_security": "sasl_plaintext", "kafka_ca_file": CA}, "they need ssl or sasl_ssl"),
        ({"kafka_key_file": KEY}, "HEADRACE_KAFKA_CERT_FILE and HEADRACE_KAFKA_KEY_FILE need each other"),
        ({"kafka_cert_file": CERT}, "HEADRACE_KAFKA_CERT_FILE and HEADRACE_KAFKA_KEY_FILE need each other"),
        ({"kafka_security": "tls"}, "setting HEADRACE_KAFKA_SECURITY: Input should be"),
    ],
)
def test_what_does_not_fit_together_is_a_sentence(given, why):
    with pytest.raises(ValidationError) as error:
        StreamSettings(**given)
    assert why in mistakes(error.value)
