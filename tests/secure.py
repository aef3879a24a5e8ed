"""A Kafka that nobody may speak to without saying who they are, or without encryption; RabbitMQ and Redis over TLS."""

import ssl
from pathlib import Path

import trustme
from confluent_kafka.admin import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from app.local.kafka import Kafka
from app.local.ports import HOST
from app.local.rabbitmq import RabbitMQ
from app.local.redis import Redis
from app.settings import Settings
from app.stream import client
from tests.faults import Proxy

USER, PASSWORD = "ann", "hunter2-of-ann"

LISTENERS = ("sasl_ssl", "ssl", "sasl_plaintext")
_CONFIG = """
listeners={listeners}
advertised.listeners={advertised}
listener.security.protocol.map={protocols}
listener.name.sasl_ssl.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_plaintext.sasl.enabled.mechanisms=PLAIN
listener.name.sasl_plaintext.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}="{password}";
listener.name.ssl.ssl.client.auth=required
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
ssl.truststore.type=PEM
ssl.truststore.location={ca}
"""


def certify(ca: Path, *certified: Path) -> None:
    """Write a new authority's certificate, and certificates for this machine by it, each with its key before it."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(ca)
    for file in certified:
        one = authority.issue_cert(HOST)
        key = load_pem_private_key(one.private_key_pem.bytes(), None)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        file.write_bytes(pem + b"".join(blob.bytes() for blob in one.cert_chain_pems))


_TLS = """\
listeners.ssl.1 = {host}:{port}
ssl_options.cacertfile = {ca}
ssl_options.certfile = {at}/broker.pem
ssl_options.keyfile = {at}/broker.pem
ssl_options.verify = verify_none
"""


class SecureKafka(Kafka):
    """One Kafka with a listener of each kind: SCRAM over TLS, TLS with certificates of both, and PLAIN in the clear."""

    port_names = (*Kafka.port_names, *LISTENERS)

    def _prepare(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        certify(self.ca, self._keystore, self.cert)
        super()._prepare()

    @property
    def ca(self) -> Path:
        return self.directory / "ca.pem"

    @property
    def cert(self) -> Path:
        """Key and certificate of a client, in one file."""
        return self.directory / "client.pem"

    @property
    def _keystore(self) -> Path:
        return self.directory / "broker.pem"

    def _properties(self, data: str) -> str:
        text = super()._properties(data)
        plain = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        ours = [f"{name.upper()}://{HOST}:{self.ports[name]}" for name in LISTENERS]
        return text + _CONFIG.format(
            listeners=",".join([plain["listeners"], *ours]),
            advertised=",".join([plain["advertised.listeners"], *ours]),
            protocols=f"{plain['listener.security.protocol.map']},{','.join(map('{0}:{0}'.format, LISTENERS)).upper()}",
            user=USER, password=PASSWORD, keystore=self._keystore, ca=self.ca,
        )  # fmt: skip

    def know(self) -> None:
        """Tell Kafka the user's password, which it keeps for SCRAM; returns when it lets the user in."""
        admin = AdminClient({"bootstrap.servers": f"{HOST}:{self.ports['kafka']}"})
        word = UserScramCredentialUpsertion(
            USER, ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096), PASSWORD.encode()
        )
        for future in admin.alter_user_scram_credentials([word]).values():
            future.result(30)
        theirs = {name.removeprefix("HEADRACE_").lower(): value for name, value in self.settings("sasl_ssl").items()}
        client.reach(Settings.model_validate(theirs), 30.0)

    def settings(self, listener: str) -> dict[str, str]:
        """The environment that leads to one of the listeners."""
        env = {"HEADRACE_KAFKA_URL": f"kafka://{HOST}:{self.ports[listener]}"}
        if listener.startswith("sasl"):
            env |= {"HEADRACE_KAFKA_USERNAME": USER, "HEADRACE_KAFKA_PASSWORD": PASSWORD}
        else:
            env |= {"HEADRACE_KAFKA_CERT_FILE": str(self.cert), "HEADRACE_KAFKA_KEY_FILE": str(self.cert)}
        if listener.endswith("plaintext"):
            return env | {"HEADRACE_KAFKA_SECURITY": listener, "HEADRACE_KAFKA_MECHANISM": "PLAIN"}
        return env | {"HEADRACE_KAFKA_CA_FILE": str(self.ca)}


class SecureRabbitMQ(RabbitMQ):
    """One RabbitMQ with a listener for TLS beside that in the clear."""

    port_names = (*RabbitMQ.port_names, "tls")

    def _prepare(self) -> None:
        super()._prepare()
        certify(self.ca, self.directory / "broker.pem")
        with (self.directory / "rabbitmq.conf").open("a") as config:
            config.write(_TLS.format(host=HOST, port=self.ports["tls"], at=self.directory, ca=self.ca))

    @property
    def ca(self) -> Path:
        return self.directory / "ca.pem"

    @property
    def secure_url(self) -> str:
        """As `url`, over TLS."""
        return self.url.replace("amqp://", "amqps://").replace(f":{self.ports['amqp']}/", f":{self.ports['tls']}/")


def behind_tls(server: Redis, directory: Path) -> Proxy:
    """What speaks TLS for a Redis that may have been built without, with the certificate in `server.pem`; its
    authority is in `ca.pem`."""
    certify(directory / "ca.pem", directory / "server.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "server.pem")
    return Proxy(server.ports["redis"], tls=context)
