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
_PORT: Final = re.compile(r"[0-9]{1,5}")
_MAINTENANCE: Final = 0x01 | 0x02 | 0x20
_DRAINED: Final = 0x08 | 0x10
"""Bits of `srv_admin_state`: https://docs.haproxy.org/2.6/management.html, "show servers state"."""
_HAS_CHECK: Final = 0x02
_CHECKED: Final = 0x04
"""Bits of `srv_check_state`."""


class Slot(NamedTuple):
    """A server of a backend: its name, the address it has now, its admin state and its check's."""

    name: str
    address: str
    admin: int
    check: int

    @property
    def serves(self) -> bool:
        """Whether it is meant to get traffic."""
        return not self.admin & (_MAINTENANCE | _DRAINED)

    @property
    def drained(self) -> bool:
        """Whether it gets no new traffic, though connections may still be open."""
        return bool(self.admin & _DRAINED) and not self.admin & _MAINTENANCE


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
        taken = _taken(action, [address for address in wished if address not in serving], slots)
        self._let_serve(action, taken)
        # a slot serves each wished address once: a second one that has it is drained too
        unwished = [
            slot for slot in slots if slot.serves and (slot.address not in wished or serving[slot.address] != slot)
        ]
        for slot in unwished:
            self._ask(action, f"set server {action.backend}/{slot.name} state drain")
        now = sorted(slot.address for slot in self._slots(action) if slot.serves)
        if now != wished:
            raise TemporaryError(f"{action.balancer} serves {action.backend} from {', '.join(now) or 'nowhere'} still")
        return sum(slot.serves for slot in slots), len(now), bool(taken or unwished)

    def _let_serve(self, action: UpdateLoadBalancer, taken: dict[str, Slot]) -> None:
        """Give the slots their addresses, and make them ready once HAProxy says that they have them."""
        if not taken:
            return
        answers = []
        for address, slot in taken.items():
            ip, _, port = address.rpartition(":")
            command = f"set server {action.backend}/{slot.name} addr {ip.strip('[]')} port {port}"
            answers.append(self._ask(action, command).strip())
        has = {slot.name: slot.address for slot in self._slots(action)}
        for (address, slot), answer in zip(taken.items(), answers, strict=True):
            if has.get(slot.name) != address:
                raise TemporaryError(f"{action.balancer} does not give {slot.name} the address {address}: {answer}")
        for slot in taken.values():
            if slot.check & _HAS_CHECK and not slot.check & _CHECKED:
                self._ask(action, f"enable health {action.backend}/{slot.name}")
            self._ask(action, f"set server {action.backend}/{slot.name} state ready")

    def applied(self, action: UpdateLoadBalancer) -> int | None:
        """How many servers serve if they are exactly the wished ones, else None."""
        now = sorted(slot.address for slot in self._slots(action) if slot.serves)
        return len(now) if now == _addresses(action) else None

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
            Slot(
                row["srv_name"],
                _joined(row["srv_addr"], row["srv_port"]),
                int(row["srv_admin_state"]),
                int(row["srv_check_state"]),
            )
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


def _taken(action: UpdateLoadBalancer, missing: list[str], slots: list[Slot]) -> dict[str, Slot]:
    """A free slot for each address that no slot serves: the one that had it last, then one in maintenance."""
    free = sorted((slot for slot in slots if not slot.serves), key=lambda slot: slot.drained)
    if len(missing) > len(free):
        raise PermanentError(
            f"backend {action.backend} of {action.balancer} has {len(slots)} slots and {len(free)} of them free, "
            f"too few for {len(missing)} new servers; raise its `server-template`"
        )
    had = {slot.address: slot for slot in free if slot.drained}
    taken = {address: had[address] for address in missing if address in had}
    others = (slot for slot in free if slot not in taken.values())
    return taken | {address: next(others) for address in missing if address not in taken}


def _connected(where: str) -> socket.socket:
    parts = urlsplit(where)
    if parts.scheme == "tcp":
        return socket.create_connection((parts.hostname, parts.port), timeout=TIMEOUT_S)
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        link.settimeout(TIMEOUT_S)
        link.connect(parts.path)
    except BaseException:
        link.close()
        raise
    return link


def _addresses(action: UpdateLoadBalancer) -> list[str]:
    """The wished servers, sorted and checked: they come from events and go to a command line."""
    if not action.servers:
        raise PermanentError("no servers are named, and a balancer is never emptied")
    return sorted({_address(given) for given in action.servers})


def _address(given: str) -> str:
    """An address as HAProxy tells it. A zone (`fe80::1%…`) may be any text at all, so it is none."""
    host, _, port = given.rpartition(":")
    try:
        ip = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        raise PermanentError(f"{given[:100]!r} is no IP address and port") from None
    if "%" in host or ip.is_unspecified or ip.is_multicast:
        raise PermanentError(f"{given[:100]!r} is no address of one server")
    if not (_PORT.fullmatch(port) and 0 < int(port) < 65536):
        raise PermanentError(f"{given[:100]!r} has no port")
    family = socket.AF_INET6 if ip.version == 6 else socket.AF_INET
    return _joined(socket.inet_ntop(family, ip.packed), str(int(port)))


def _joined(ip: str, port: str) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
