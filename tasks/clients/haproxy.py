"""Load balancers: HAProxy's Runtime API over its stats socket.

A backend has slots, `server-template web 1-10 127.0.0.1:1 check disabled`. The servers that are
wished get a slot each and are made ready; only then are the others drained, so that there is never
a moment without any. Health is HAProxy's own business: what counts here is who is meant to serve.
"""

import ipaddress
import re
import socket
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from tasks.clients.targets import Targets
from tasks.contract import UpdateLoadBalancer
from tasks.errors import PermanentError, TemporaryError

TIMEOUT_S: Final = 5.0

_NAME: Final = re.compile(r"[A-Za-z0-9_.:-]{1,200}")
_MAINTENANCE: Final = 0x01 | 0x02 | 0x20
_DRAINED: Final = 0x08 | 0x10
"""Bits of `srv_admin_state`: https://docs.haproxy.org/2.6/management.html, "show servers state"."""


class Slot(NamedTuple):
    """A server of a backend: its name, the address it has now, and its admin state."""

    name: str
    address: str
    admin: int

    @property
    def serves(self) -> bool:
        """Whether it is meant to get traffic."""
        return not self.admin & (_MAINTENANCE | _DRAINED)


class HAProxy:
    """The balancers of the targets file."""

    def __init__(self, targets: Targets) -> None:
        self._targets = targets

    def update(self, action: UpdateLoadBalancer) -> tuple[int, int, bool]:
        """Have exactly the wished servers serve; how many did before, how many do now, and whether that changed.

        Raises PermanentError for what can never be, before anything is changed.
        """
        wished = _addresses(action)
        slots = self._slots(action)
        serving = {slot.address: slot for slot in slots if slot.serves}
        missing = [address for address in wished if address not in serving]
        # a slot in maintenance before one that drains: connections may still be open there
        free = sorted((slot for slot in slots if not slot.serves), key=lambda slot: not slot.admin & _MAINTENANCE)
        if len(missing) > len(free):
            raise PermanentError(
                f"backend {action.backend} of {action.balancer} has {len(slots)} slots, too few for {len(wished)} "
                "servers; raise its `server-template`"
            )
        for address, slot in zip(missing, free, strict=False):
            ip, _, port = address.rpartition(":")
            server = f"{action.backend}/{slot.name}"
            self._ask(action, f"set server {server} addr {ip.strip('[]')} port {port}")
            self._ask(action, f"set server {server} state ready")
        # a slot serves each wished address once: a second one that has it is drained too
        unwished = [
            slot for slot in slots if slot.serves and (slot.address not in wished or serving[slot.address] != slot)
        ]
        for slot in unwished:
            self._ask(action, f"set server {action.backend}/{slot.name} state drain")
        now = sorted(slot.address for slot in self._slots(action) if slot.serves)
        if now != sorted(wished):
            raise TemporaryError(f"{action.balancer} serves {action.backend} from {', '.join(now) or 'nowhere'} still")
        return sum(slot.serves for slot in slots), len(now), bool(missing or unwished)

    def applied(self, action: UpdateLoadBalancer) -> int | None:
        """How many servers serve if they are exactly the wished ones, else None."""
        now = sorted(slot.address for slot in self._slots(action) if slot.serves)
        return len(now) if now == sorted(_addresses(action)) else None

    def _slots(self, action: UpdateLoadBalancer) -> list[Slot]:
        if not _NAME.fullmatch(action.backend):
            raise PermanentError(f"{action.backend!r} can be no backend of HAProxy")
        answer = self._ask(action, f"show servers state {action.backend}")
        if "Can't find backend" in answer:
            raise PermanentError(f"{action.balancer} has no backend {action.backend}")
        lines = [line for line in answer.splitlines() if line.strip()]
        if len(lines) < 2 or not lines[1].startswith("# "):
            raise TemporaryError(f"{action.balancer} answers {answer[:200]!r} to a question about its servers")
        names = lines[1].removeprefix("# ").split()
        rows = [dict(zip(names, line.split(), strict=False)) for line in lines[2:]]
        return [
            Slot(row["srv_name"], _joined(row["srv_addr"], row["srv_port"]), int(row["srv_admin_state"]))
            for row in rows
        ]

    def _ask(self, action: UpdateLoadBalancer, command: str) -> str:
        """One command over one connection; its answer. What is no right of ours, or no command, is permanent."""
        where = self._targets.balancer(action.balancer)
        try:
            with _connected(where) as link:
                link.sendall(f"{command}\n".encode())
                parts = []
                while part := link.recv(65_536):
                    parts.append(part)
        except OSError as error:
            raise TemporaryError(
                f"balancer {action.balancer} does not answer: {error or type(error).__name__}"
            ) from error
        answer = b"".join(parts).decode(errors="replace")
        if "Permission denied" in answer or "Unknown command" in answer:
            raise PermanentError(f"{action.balancer} refuses `{command}`: {answer.strip()[:200]}; is it `level admin`?")
        return answer


def _connected(where: str) -> socket.socket:
    parts = urlsplit(where)
    if parts.scheme == "unix":
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            link.settimeout(TIMEOUT_S)
            link.connect(parts.path)
        except BaseException:
            link.close()
            raise
        return link
    if parts.scheme == "tcp" and parts.hostname and parts.port:
        return socket.create_connection((parts.hostname, parts.port), timeout=TIMEOUT_S)
    raise PermanentError(f"{where!r} is no address of a balancer; write unix:/path or tcp://host:port")


def _addresses(action: UpdateLoadBalancer) -> list[str]:
    """The wished servers, checked: they come from events and go to a command line."""
    if not action.servers:
        raise PermanentError("no servers are named, and a balancer is never emptied")
    found = []
    for given in action.servers:
        host, _, port = given.rpartition(":")
        try:
            ip = ipaddress.ip_address(host.strip("[]"))
        except ValueError:
            raise PermanentError(f"{given[:100]!r} is no IP address and port") from None
        if not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
            raise PermanentError(f"{given[:100]!r} has no port")
        found.append(_joined(str(ip), str(int(port))))
    return sorted(set(found))


def _joined(ip: str, port: str) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
