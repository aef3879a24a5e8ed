"""A private HAProxy: one HTTP frontend on loopback, slots in a backend for each service, and a stats socket.

The demo and the tests use it as the load balancer that deploys are sent to.
"""

import shutil
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from app.local.ports import HOST
from app.local.server import Program

SLOTS: Final = 10
"""Servers that a backend has room for."""


class HAProxy(Program):
    """HAProxy with a backend for each name; a request goes to the backend that its `Host` names, or to the first."""

    title = "HAProxy"
    name = "haproxy"
    port_names = ("http", "stats")

    def __init__(
        self, directory: Path, backends: Sequence[str], *, attached: bool = True, checked: bool = False
    ) -> None:
        """Its configuration is written when it starts. `checked`: it looks five times a second at who is alive."""
        super().__init__(directory, attached=attached)
        self._backends = list(backends)
        self._check = "check inter 200ms" if checked else "no-check"

    @staticmethod
    def missing() -> list[str]:
        """Programs that are needed and not installed here."""
        return [] if _program() else ["haproxy"]

    @property
    def url(self) -> str:
        """The stats socket, as the targets file wants it."""
        return f"tcp://{HOST}:{self.ports['stats']}"

    @property
    def http(self) -> str:
        """The frontend."""
        return f"http://{HOST}:{self.ports['http']}/"

    def ask(self, command: str) -> str:
        """The answer to a command on the stats socket."""
        with socket.create_connection((HOST, self.ports["stats"]), timeout=5) as link:
            link.sendall(f"{command}\n".encode())
            parts = []
            while part := link.recv(65_536):
                parts.append(part)
        return b"".join(parts).decode()

    def serving(self, backend: str) -> list[str]:
        """Addresses that a backend sends requests to."""
        rows = [line.split() for line in self.ask(f"show servers state {backend}").splitlines()[2:] if line]
        return sorted(f"{row[4]}:{row[18]}" for row in rows if not int(row[6]) & (0x01 | 0x08))

    def _prepare(self) -> None:
        uses = "\n".join(f"    use_backend {name} if {{ req.hdr(host) -i {name} }}" for name in self._backends)
        backends = "\n".join(
            f"backend {name}\n    server-template {name} 1-{SLOTS} 127.0.0.1:1 {self._check} disabled"
            for name in self._backends
        )
        (self.directory / "haproxy.cfg").write_text(
            f"global\n    stats socket ipv4@{HOST}:{self.ports['stats']} level admin\n    maxconn 500\n"
            "defaults\n    mode http\n    timeout connect 2s\n    timeout client 20s\n    timeout server 20s\n"
            f"frontend http\n    bind {HOST}:{self.ports['http']}\n{uses}\n    default_backend {self._backends[0]}\n"
            f"{backends}\n"
        )

    def _command(self) -> list[str]:
        return [_program() or "haproxy", "-db", "-f", str(self.directory / "haproxy.cfg")]

    def _serves(self) -> bool:
        try:
            return "Name: HAProxy" in self.ask("show info")
        except OSError:
            return False


def _program() -> str | None:
    # Debian has it in /usr/sbin, which is not on everybody's path
    return shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")
