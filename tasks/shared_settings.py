"""What the settings of both sides share: how Kafka is reached, and how a mistake in the environment is told.

`app.settings` and `tasks.settings` are made of it.
"""

from pathlib import Path
from typing import Final, Literal, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings

Security = Literal["", "plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]
Mechanism = Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"]

Config = dict[str, str | int | float | bool]
"""A configuration of librdkafka."""

_SASL: Final = ("sasl_plaintext", "sasl_ssl")
_TLS: Final = ("ssl", "sasl_ssl")


class KafkaSettings(BaseSettings):
    """Where Kafka is, who we are there, and how it is spoken to."""

    kafka_url: str = Field(
        "kafka://127.0.0.1:9092",
        description="Kafka's bootstrap servers, `kafka://host:port[,host:port…]`. The usual port, here. "
        "Set to nothing, there is none: workers write no outcomes, and the ledger alone remembers what was done.",
    )
    kafka_security: Security = Field(
        "",
        description="Kafka's security protocol: `plaintext`, `ssl`, `sasl_plaintext` or `sasl_ssl`. Unset: `sasl_ssl` "
        "with a user, `ssl` with a CA or a certificate, else `plaintext`.",
    )
    kafka_mechanism: Mechanism = Field(
        "SCRAM-SHA-512", description="SASL mechanism: `SCRAM-SHA-512`, `SCRAM-SHA-256` or `PLAIN`."
    )
    kafka_username: str = Field("", description="SASL user; empty for none.")
    kafka_password: SecretStr = Field(SecretStr(""), description="The SASL user's password.")
    kafka_ca_file: Path | None = Field(
        None, description="PEM file of the CA of the brokers' certificates. Unset: those that the system trusts."
    )
    kafka_cert_file: Path | None = Field(
        None, description="PEM file of our own certificate and its chain, for brokers that ask for one."
    )
    kafka_key_file: Path | None = Field(None, description="PEM file of its private key.")

    @property
    def kafka_protocol(self) -> str:
        """The security protocol that is spoken."""
        if self.kafka_security:
            return self.kafka_security
        tls = self.kafka_ca_file is not None or self.kafka_cert_file is not None
        return "sasl_ssl" if self.kafka_username else "ssl" if tls else "plaintext"

    @property
    def kafka_sasl(self) -> bool:
        """Whether we say who we are by name and password."""
        return self.kafka_protocol in _SASL

    @property
    def kafka_tls(self) -> bool:
        """Whether what is said is encrypted."""
        return self.kafka_protocol in _TLS

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.kafka_cert_file is None) != (self.kafka_key_file is None):
            raise ValueError("HEADRACE_KAFKA_CERT_FILE and HEADRACE_KAFKA_KEY_FILE need each other")
        name = f"HEADRACE_KAFKA_SECURITY is {self.kafka_protocol}"
        if self.kafka_sasl and not self.kafka_username:
            raise ValueError(f"{name}, so HEADRACE_KAFKA_USERNAME has to be set")
        if self.kafka_username and not self.kafka_sasl:
            raise ValueError(f"{name}, and HEADRACE_KAFKA_USERNAME is set: a user needs sasl_ssl or sasl_plaintext")
        if not self.kafka_tls and (self.kafka_ca_file or self.kafka_cert_file or self.kafka_key_file):
            raise ValueError(f"{name}, and a CA, certificate or key is set: they need ssl or sasl_ssl")
        return self

    @property
    def bootstrap(self) -> str:
        """Kafka's bootstrap servers as `host:port,host:port`; empty without Kafka."""
        return self.kafka_url.split("://", 1)[-1].rstrip("/")

    def librdkafka(self, **more: str | float | bool) -> Config:
        """A librdkafka configuration that reaches Kafka, plus `more`."""
        config: Config = {"bootstrap.servers": self.bootstrap, "client.id": "headrace"}
        config["security.protocol"] = self.kafka_protocol.upper()
        if self.kafka_sasl:
            config["sasl.mechanism"] = self.kafka_mechanism
            config["sasl.username"] = self.kafka_username
            config["sasl.password"] = self.kafka_password.get_secret_value()
        files = {
            "ssl.ca.location": self.kafka_ca_file, "ssl.certificate.location": self.kafka_cert_file,
            "ssl.key.location": self.kafka_key_file,
        }  # fmt: skip
        return config | {name: str(file) for name, file in files.items() if file is not None} | more


def mistakes(error: ValidationError) -> str:
    """What is wrong with the environment, each variable by its name."""
    return "; ".join(
        "".join(f"setting HEADRACE_{str(name).upper()}: " for name in one["loc"][:1])
        + one["msg"].removeprefix("Value error, ")
        for one in error.errors()
    )
