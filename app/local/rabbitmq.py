"""A private RabbitMQ: one node on loopback with its own epmd, cookie, data and management API.

Started by `app.local.servers`. The user and the virtual host are `headrace`; exchanges, queues
and policies are those of `app.queue.topology`, there from the first moment.
"""

import base64
import hashlib
import http.client
import json
import secrets
import shutil
import socket
from pathlib import Path
from typing import Any, Final

from app.local.ports import HOST
from app.local.process import Process
from app.local.server import Program
from app.queue import topology

USER: Final = "headrace"
PASSWORD: Final = "headrace"  # noqa: S105 - a private server on loopback
VHOST: Final = "headrace"

_PLACES: Final = (
    "/usr/lib/rabbitmq/bin",  # Debian: the wrapper on the path insists on root or the user rabbitmq
    "/opt/homebrew/opt/rabbitmq/sbin",
    "/usr/local/opt/rabbitmq/sbin",
)

_CONFIG: Final = """\
listeners.tcp.1 = {host}:{amqp}
management.tcp.ip = {host}
management.tcp.port = {management}
log.console = false
log.file.level = info
vm_memory_high_watermark.absolute = 512MB
disk_free_limit.absolute = 100MB
heartbeat = 10
load_definitions = {definitions}
"""

_ERLANG: Final = "+sbwt none +sbwtdcpu none +sbwtdio none +S 2:2 -kernel inet_dist_use_interface {127,0,0,1}"
"""Idle schedulers must not spin: the machine is shared with Kafka and the product."""


def binary() -> str | None:
    """Path of `rabbitmq-server`; None if it is not installed."""
    for place in _PLACES:
        if (Path(place) / "rabbitmq-server").exists():
            return f"{place}/rabbitmq-server"
    return shutil.which("rabbitmq-server")


def password_hash(password: str) -> str:
    """The password as RabbitMQ's definitions want it: a salt and the SHA-256 of both."""
    salt = secrets.token_bytes(4)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def definitions() -> dict[str, Any]:
    """The user, the virtual host, what the one may do in the other, and the product's topology there."""
    return topology.definitions(VHOST) | {
        "users": [
            {
                "name": USER,
                "password_hash": password_hash(PASSWORD),
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": ["administrator"],
            }
        ],
        "vhosts": [{"name": VHOST}],
        "permissions": [{"user": USER, "vhost": VHOST, "configure": ".*", "write": ".*", "read": ".*"}],
    }


def url(port: int) -> str:
    """Address of a RabbitMQ of ours that listens on `port`."""
    return f"amqp://{USER}:{PASSWORD}@{HOST}:{port}/{VHOST}"


def api(port: int) -> str:
    """Address of its management API, with user and password."""
    return f"http://{USER}:{PASSWORD}@{HOST}:{port}"


def speaks_amqp(port: int) -> bool:
    """Whether an AMQP 0-9-1 server answers there: a bare connection succeeds too early."""
    try:
        with socket.create_connection((HOST, port), timeout=2) as peer:
            peer.settimeout(2)
            peer.sendall(b"AMQP\x00\x00\x09\x01")
            return peer.recv(1) == b"\x01"
    except OSError:
        return False


def api_answers(port: int) -> bool:
    """Whether the management API answers there and knows the virtual host."""
    basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    peer = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        peer.request("GET", f"/api/vhosts/{VHOST}", headers={"Authorization": f"Basic {basic}"})
        return peer.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        peer.close()


class RabbitMQ(Program):
    """One RabbitMQ node, with its database in the directory."""

    title = "RabbitMQ"
    name = "rabbitmq"
    port_names = ("amqp", "management", "distribution", "epmd")

    def __init__(self, directory: Path, *, attached: bool = True) -> None:
        """As `Server`."""
        super().__init__(directory, attached=attached)
        self._epmd_file = self.directory / "epmd.json"
        self._epmd = Process.saved(self._epmd_file)

    @staticmethod
    def missing() -> list[str]:
        """Programs that are needed and not installed here."""
        return [] if binary() and shutil.which("epmd") else ["rabbitmq-server"]

    @property
    def url(self) -> str:
        """`amqp://user:password@host:port/vhost`."""
        return url(self.ports["amqp"])

    @property
    def api(self) -> str:
        """Address of the management API, with user and password."""
        return api(self.ports["management"])

    @property
    def env(self) -> dict[str, str]:
        """The environment that leads a process of Headrace to it, and to its management API."""
        return super().env | {"HEADRACE_RABBITMQ_API": self.api}

    def stop(self) -> None:
        """End it and its port mapper cleanly; its data stay."""
        super().stop()
        if self._epmd is not None:
            self._epmd.stop()
        self._epmd_file.unlink(missing_ok=True)

    def _prepare(self) -> None:
        home = self.directory / "home"
        home.mkdir(exist_ok=True)
        cookie = home / ".erlang.cookie"
        if not cookie.exists():
            cookie.write_text(secrets.token_hex(16))
            cookie.chmod(0o600)
        known = self.directory / "definitions.json"
        known.write_text(json.dumps(definitions(), indent=1))
        config = _CONFIG.format(host=HOST, definitions=known, **self.ports)
        (self.directory / "rabbitmq.conf").write_text(config)
        (self.directory / "enabled_plugins").write_text("[rabbitmq_management].\n")
        if self._epmd is None or not self._epmd.alive:
            command = ["epmd", "-port", str(self.ports["epmd"]), "-address", HOST]
            self._epmd = Process.start(command, self.directory / "epmd.log", attached=self.attached)
            self._epmd.save(self._epmd_file)

    def _command(self) -> list[str]:
        at = self.directory
        environment = {
            "HOME": at / "home",
            "ERL_EPMD_PORT": self.ports["epmd"],
            "ERL_EPMD_ADDRESS": HOST,
            "RABBITMQ_NODENAME": f"headrace-{self.ports['amqp']}@localhost",
            "RABBITMQ_USE_LONGNAME": "false",
            "RABBITMQ_NODE_IP_ADDRESS": HOST,
            "RABBITMQ_NODE_PORT": self.ports["amqp"],
            "RABBITMQ_DIST_PORT": self.ports["distribution"],
            "RABBITMQ_MNESIA_BASE": at / "mnesia",
            "RABBITMQ_LOG_BASE": at / "logs",
            "RABBITMQ_PID_FILE": at / "pid",
            "RABBITMQ_CONFIG_FILE": at / "rabbitmq.conf",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_ENABLED_PLUGINS_FILE": at / "enabled_plugins",
            "RABBITMQ_SCHEMA_DIR": at / "schema",
            "RABBITMQ_GENERATED_CONFIG_DIR": at / "generated",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _ERLANG,
            # makes the start script become the server instead of watching over it: one process to signal
            "RUNNING_UNDER_SYSTEMD": "true",
        }
        return ["env", *(f"{name}={value}" for name, value in environment.items()), self._broker()]

    def _broker(self) -> str:
        return binary() or "rabbitmq-server"

    def _serves(self) -> bool:
        return speaks_amqp(self.ports["amqp"]) and api_answers(self.ports["management"])
