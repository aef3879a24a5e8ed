"""The servers as containers, where a Docker engine answers and the programs are not installed.

Chosen by `app.local.servers`. The same interface, ports and settings as the programs; data are in
the container, which survives `stop` and `kill` and goes with `remove`. The images' versions are
those of `docker/compose.yaml`.
"""

import json
import shutil
import subprocess
from abc import abstractmethod
from pathlib import Path
from typing import Final

from app.local import kafka, rabbitmq, redis
from app.local.ports import HOST
from app.local.process import ServerUnavailable
from app.local.server import Server

IMAGES: Final = {"kafka": "apache/kafka:4.3.1", "rabbitmq": "rabbitmq:4-management", "redis": "valkey/valkey:9"}
"""Server → image."""

ANSWER_S: Final = 10.0


def answers() -> bool:
    """Whether a Docker engine can be used from here."""
    if not shutil.which("docker"):
        return False
    try:
        done = subprocess.run(["docker", "info"], capture_output=True, check=False, timeout=ANSWER_S)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _docker(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if check and done.returncode:
        words = done.stderr.strip().splitlines()[-1:]
        raise ServerUnavailable(f"`docker {arguments[0]}` failed: {' '.join(words)}")
    return done.stdout.strip()


class Container(Server):
    """One container; its id is kept in the directory, so that another process can stop it."""

    def __init__(self, directory: Path, *, attached: bool = True) -> None:
        """As `Server`; finds the container again if one was left in `directory`."""
        super().__init__(directory, attached=attached)
        self._id_file = self.directory / "container"
        self._keep_ports()

    @property
    def running(self) -> bool:
        """Whether the container is there, serving or frozen."""
        return self._id_file.exists() and self._state("Running") == "true"

    def stop(self) -> None:
        """End it cleanly; its data stay until `remove`."""
        if self._id_file.exists():
            _docker("stop", "--time", "30", self._id)

    def kill(self) -> None:
        """End it as a crash does; its data stay as they are."""
        if self.running:
            _docker("kill", self._id)

    def freeze(self) -> None:
        """Let it hang: connections stay open and nothing answers."""
        _docker("pause", self._id)

    def thaw(self) -> None:
        """End a freeze."""
        _docker("unpause", self._id)

    def remove(self) -> None:
        """End it and its data."""
        if self._id_file.exists():
            _docker("rm", "--force", "--volumes", self._id, check=False)
            self._id_file.unlink()

    @property
    def _id(self) -> str:
        return self._id_file.read_text()

    def _state(self, field: str) -> str:
        return _docker("inspect", "--format", f"{{{{.State.{field}}}}}", self._id, check=False)

    def _start(self) -> None:
        if self._id_file.exists():
            _docker("start", self._id)
            return
        ports = [f"--publish={HOST}:{self.ports[name]}:{inside}" for name, inside in self._published().items()]
        self._id_file.write_text(_docker("run", "--detach", *ports, *self._options(), IMAGES[self.name], *self._tail()))

    @abstractmethod
    def _published(self) -> dict[str, int]:
        """Name of a port → its number inside."""

    def _options(self) -> list[str]:
        return []

    def _tail(self) -> list[str]:
        return []

    def _last_words(self) -> str:
        return " / ".join(_docker("logs", "--tail", "3", self._id, check=False).splitlines())


class KafkaContainer(Container):
    """Kafka in a container, on the same ports inside and outside, so that what it advertises is right."""

    title, name, port_names = kafka.Kafka.title, "kafka", kafka.Kafka.port_names

    @property
    def url(self) -> str:
        """`kafka://host:port`."""
        return f"kafka://{HOST}:{self.ports['kafka']}"

    def _published(self) -> dict[str, int]:
        return {name: self.ports[name] for name in ("kafka", "proxied")}

    def _options(self) -> list[str]:
        config = self.directory / "server.properties"
        text = kafka.properties("/var/lib/kafka/data", self.ports, listen="0.0.0.0")  # noqa: S104 - inside a container
        config.write_text(text)
        return [f"--volume={config}:/mnt/shared/config/server.properties:ro", "--env=KAFKA_HEAP_OPTS=-Xmx256m"]

    def _serves(self) -> bool:
        return kafka.answers(self.ports["kafka"])


class RabbitContainer(Container):
    """RabbitMQ in a container, with the same user and virtual host as the program."""

    title, name, port_names = rabbitmq.RabbitMQ.title, "rabbitmq", ("amqp", "management")

    @property
    def url(self) -> str:
        """`amqp://user:password@host:port/vhost`."""
        return rabbitmq.url(self.ports["amqp"])

    def _published(self) -> dict[str, int]:
        return {"amqp": 5672, "management": 15672}

    @property
    def env(self) -> dict[str, str]:
        """The environment that leads a process of Headrace to it, and to its management API."""
        return super().env | {"HEADRACE_RABBITMQ_API": rabbitmq.api(self.ports["management"])}

    def _options(self) -> list[str]:
        known = self.directory / "definitions.json"
        known.write_text(json.dumps(rabbitmq.definitions()))
        config = self.directory / "headrace.conf"
        config.write_text("load_definitions = /etc/rabbitmq/definitions.json\nheartbeat = 10\n")
        return [
            f"--volume={known}:/etc/rabbitmq/definitions.json:ro",
            f"--volume={config}:/etc/rabbitmq/conf.d/50-headrace.conf:ro",
        ]

    def _serves(self) -> bool:
        return rabbitmq.speaks_amqp(self.ports["amqp"]) and rabbitmq.api_answers(self.ports["management"])


class RedisContainer(Container):
    """Valkey in a container."""

    title, name, port_names = redis.Redis.title, "redis", ("redis",)

    @property
    def url(self) -> str:
        """`redis://host:port/0`."""
        return f"redis://{HOST}:{self.ports['redis']}/0"

    def _published(self) -> dict[str, int]:
        return {"redis": 6379}

    def _tail(self) -> list[str]:
        return ["valkey-server", "--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction"]

    def _serves(self) -> bool:
        return redis.answers(self.ports["redis"])
