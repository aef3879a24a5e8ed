"""A private Apache Kafka: one KRaft node on loopback, from jars that Maven fetches.

Started by `app.local.servers`. A second listener, `proxied`, tells its clients to come back by
way of the port `proxy`: a test that puts a proxy there stands between Kafka and whoever
bootstraps from it. One node keeps nothing twice: this is for a laptop and for tests.
"""

import secrets
import shutil
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from app.local.kafka_jars import Jars
from app.local.ports import HOST
from app.local.server import Program
from app.settings import settings

STARTED: Final = "Kafka Server started"

_CONFIG: Final = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
listeners=PLAINTEXT://{listen}:{kafka},PROXIED://{listen}:{proxied},CONTROLLER://{listen}:{controller}
advertised.listeners=PLAINTEXT://{host}:{kafka},PROXIED://{host}:{proxy}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
# a broker that was killed may come back only when its old session is over: 9 s by default
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
num.network.threads=2
num.io.threads=2
log.cleaner.dedupe.buffer.size=8388608
"""


def properties(data: str, ports: Mapping[str, int], *, listen: str = HOST) -> str:
    """Text of `server.properties` for a node that keeps its log in the folder `data`."""
    return _CONFIG.format(host=HOST, listen=listen, data=data, **ports)


def answers(port: int) -> bool:
    """Whether a broker gives metadata there."""
    admin = AdminClient({"bootstrap.servers": f"{HOST}:{port}", "log_level": 0})
    try:
        return bool(admin.list_topics(timeout=5).brokers)
    except KafkaException:
        return False


class Kafka(Program):
    """One Kafka node, with its log segments in the directory."""

    title = "Kafka"
    name = "kafka"
    port_names = ("kafka", "controller", "proxied", "proxy")

    def __init__(self, directory: Path, *, attached: bool = True) -> None:
        """As `Server`."""
        super().__init__(directory, attached=attached)
        self.jars = Jars(settings().cachedir)
        self._new_archive = self.directory / "classes.jsa"
        self.cluster = urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=").replace("-", "a")
        """Id of the cluster that its data are formatted for, if they are not yet; nodes of one cluster share it."""

    @staticmethod
    def missing() -> list[str]:
        """Programs that are needed and not installed here."""
        needed = ["java"] if Jars(settings().cachedir).fetched else ["java", "mvn"]
        return [program for program in needed if not shutil.which(program)]

    @property
    def url(self) -> str:
        """`kafka://host:port`."""
        return f"kafka://{HOST}:{self.ports['kafka']}"

    @property
    def proxied_url(self) -> str:
        """As `url`, by way of a proxy on port `proxy` that forwards to port `proxied`."""
        return f"kafka://{HOST}:{self.ports['proxy']}"

    def stop(self) -> None:
        """End it cleanly; its data stay, and the class-data archive is kept for the next start of any Kafka."""
        super().stop()
        if self._new_archive.exists():
            self.jars.keep_archive(self._new_archive)

    def _prepare(self) -> None:
        self.jars.fetch()
        data = self.directory / "data"
        config = self.directory / "server.properties"
        config.write_text(self._properties(str(data)))
        if not (data / "meta.properties").exists():
            self.jars.run("kafka.tools.StorageTool", "format", "-t", self.cluster, "-c", str(config))

    def _properties(self, data: str) -> str:
        """Text of `server.properties`; a node of several adds who the others are."""
        return properties(data, self.ports)

    def _command(self) -> list[str]:
        archive = [] if self.jars.archive.exists() else [f"-XX:ArchiveClassesAtExit={self._new_archive}"]
        return [*self.jars.java("-Xmx256m", "-Xms64m", *archive), "kafka.Kafka", "server.properties"]

    def _serves(self) -> bool:
        with self.log.open("rb") as file:
            file.seek(self._log_from)
            if STARTED.encode() not in file.read():
                return False
        return answers(self.ports["kafka"])
