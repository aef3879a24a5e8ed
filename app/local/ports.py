"""Free loopback ports for the servers, the same ones again for the same data.

Called by the servers. They are taken from below the range from which the kernel gives ports to
outgoing connections, so that no client can sit on the port of a server that is being restarted.
"""

import json
import secrets
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Final

HOST: Final = "127.0.0.1"

LOWEST: Final = 20_000
HIGHEST: Final = 32_000


def is_free(port: int) -> bool:
    """Whether a server could listen on this port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free(count: int = 1) -> list[int]:
    """That many different ports that nobody listens on; raises OSError if there are not so many."""
    span = HIGHEST - LOWEST
    first = secrets.randbelow(span)
    found: list[int] = []
    for step in range(span):
        port = LOWEST + (first + step) % span
        if is_free(port):
            found.append(port)
        if len(found) == count:
            return found
    raise OSError(f"fewer than {count} free ports between {LOWEST} and {HIGHEST} on {HOST}; end some servers")


def kept(file: Path, names: Sequence[str], *, in_use: bool = False) -> dict[str, int]:
    """A port for each name: those in `file` if they are free (or `in_use` by us), else new ones, written there."""
    if file.exists():
        ports: dict[str, int] = json.loads(file.read_text())
        if set(ports) == set(names) and (in_use or all(is_free(port) for port in ports.values())):
            return ports
    ports = dict(zip(names, free(len(names)), strict=True))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(ports))
    return ports
