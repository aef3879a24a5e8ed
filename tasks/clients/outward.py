"""Connections to addresses that other people name: to public ones only, and for so long and no longer.

A name is looked up once and one of its addresses connected to, so that no second answer of the name server
can lead anywhere else; TLS still asks for a certificate of the name. `tasks.clients.webhooks` gives it to its
HTTP client. It never reads or changes what is sent.
"""

import ipaddress
import socket
import ssl
from collections.abc import Iterable
from time import monotonic
from typing import Any, Final

from httpcore2 import (
    SOCKET_OPTION,
    ConnectError,
    ConnectTimeout,
    NetworkBackend,
    NetworkStream,
    ReadTimeout,
    SyncBackend,
    WriteTimeout,
)

_GLOBAL_6: Final = ipaddress.IPv6Network("2000::/3")
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_INNER: Final = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "192.0.0.0/24",  # protocol assignments; Oracle's cloud answers there
            "192.88.99.0/24",  # relays of 6to4
            "168.63.129.16/32",  # Azure's host, to its guests
        ),
    )
)


class PrivateAddressError(Exception):
    """A name has no public address; the text says which it has."""


class Outward(NetworkBackend):
    """Connects to public addresses, or with `private` to any; everything of it ends after `longest_s` seconds."""

    def __init__(self, longest_s: float, *, private: bool) -> None:
        self._ends = monotonic() + longest_s
        self._private = private
        self._tcp = SyncBackend()

    def left_s(self, late: type[Exception]) -> float:
        """Seconds that are left; raises `late` if none is."""
        left_s = self._ends - monotonic()
        if left_s <= 0:
            raise late("the time is over")
        return left_s

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - ours is for all of it
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> NetworkStream:
        """Connect to the first address of a host that answers; each has its share of the time that is left."""
        addresses = self._addresses(host, port)
        for number, address in enumerate(addresses):
            share_s = self.left_s(ConnectTimeout) / (len(addresses) - number)
            try:
                return _Bounded(self._tcp.connect_tcp(address, port, share_s, local_address, socket_options), self)
            except (ConnectError, ConnectTimeout):
                if number == len(addresses) - 1:
                    raise
        raise ConnectError("its name has no address")

    def _addresses(self, host: str, port: int) -> list[str]:
        """Where a host may be reached; raises PrivateAddressError, or ConnectError if nobody knows its name."""
        try:
            known = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise ConnectError(f"its name cannot be looked up: {error}") from error
        addresses = list(dict.fromkeys(str(one[4][0]) for one in known))
        allowed = [address for address in addresses if self._private or is_public(address)]
        if addresses and not allowed:
            raise PrivateAddressError(", ".join(addresses))
        return allowed


class _Bounded(NetworkStream):
    """A connection whose every step has the time that is left for all of them."""

    def __init__(self, stream: NetworkStream, outward: Outward) -> None:
        self._stream = stream
        self._outward = outward

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        return self._stream.read(max_bytes, self._outward.left_s(ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        self._stream.write(buffer, self._outward.left_s(WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> NetworkStream:
        left_s = self._outward.left_s(ConnectTimeout)
        return _Bounded(self._stream.start_tls(ssl_context, server_hostname, left_s), self._outward)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def is_public(address: str) -> bool:
    """Whether an address is one of the public internet, also where IPv6 has an IPv4 address inside."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        inner = _inner(ip)
        if inner is None:
            return ip in _GLOBAL_6 and ip.is_global
        ip = inner
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in _INNER)


def _inner(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address leads to: mapped, by 6to4 or by NAT64."""
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.ipv4_mapped or ip.sixtofour
