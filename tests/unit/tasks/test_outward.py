"""Which addresses are public, and that the one that was judged is the one connected to."""

import socket
from time import monotonic

import pytest
from httpcore2 import ConnectError, ConnectTimeout, ReadTimeout

from tasks.clients.outward import Outward, PrivateAddressError, is_public

PUBLIC = [
    "8.8.8.8",
    "93.184.216.34",
    "100.63.255.255",
    "172.32.0.1",
    "168.63.129.15",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2002:808:808::1",
]
PRIVATE = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "100.100.100.200",  # Alibaba's metadata
    "169.254.169.254",  # the others'
    "192.0.0.192",  # Oracle's
    "168.63.129.16",  # Azure's host
    "192.0.2.1",
    "198.18.0.1",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::8.8.8.8",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "fc00::1",
    "fd00:ec2::254",  # Amazon's metadata
    "ff02::1",
    "2001:db8::1",
    "2001::1",
    "100::1",
    "64:ff9b:1::a00:1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_public_internet_is_public(address):
    assert is_public(address)


@pytest.mark.parametrize("address", PRIVATE)
def test_any_other_is_not(address):
    assert not is_public(address)


class Names:
    """A name server that gives the next of its answers each time."""

    def __init__(self, monkeypatch, *answers):
        self.answers = list(answers)
        self.asked = 0
        monkeypatch.setattr(socket, "getaddrinfo", self._told)

    def _told(self, host, port, **_):
        self.asked += 1
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in self.answers[self.asked - 1]
        ]


class Tcp:
    """Notes where it is asked to connect; addresses of `dead` do not answer."""

    def __init__(self, *dead):
        self.dead = dead
        self.asked = []

    def connect_tcp(self, address, port, share_s, *_):
        self.asked.append((address, round(share_s, 1)))
        if address in self.dead:
            raise ConnectError("refused")
        return self


def outward(tcp, longest_s=8.0, private=False):
    made = Outward(longest_s, private=private)
    made._tcp = tcp
    return made


def test_a_name_is_looked_up_once_and_that_address_connected_to(monkeypatch):
    names, tcp = Names(monkeypatch, ["8.8.8.8"], ["127.0.0.1"]), Tcp()
    outward(tcp).connect_tcp("hooks.example.org", 443)
    assert (names.asked, tcp.asked) == (1, [("8.8.8.8", 8.0)])


def test_of_several_addresses_only_the_public_ones_are_tried_each_with_its_share_of_the_time(monkeypatch):
    Names(monkeypatch, ["10.0.0.1", "8.8.8.8", "::1", "8.8.4.4", "8.8.8.8"])
    tcp = Tcp("8.8.8.8")
    outward(tcp).connect_tcp("hooks.example.org", 443)
    assert tcp.asked == [("8.8.8.8", 4.0), ("8.8.4.4", 8.0)]


def test_where_no_address_answers_the_last_says_why(monkeypatch):
    Names(monkeypatch, ["8.8.8.8", "8.8.4.4"])
    with pytest.raises(ConnectError, match="refused"):
        outward(Tcp("8.8.8.8", "8.8.4.4")).connect_tcp("hooks.example.org", 443)


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "::ffff:10.0.0.1"])
def test_a_name_that_is_private_is_refused_and_never_connected_to_unless_that_is_wished(monkeypatch, address):
    Names(monkeypatch, [address], [address])
    tcp = Tcp()
    with pytest.raises(PrivateAddressError, match=address):
        outward(tcp).connect_tcp("hooks.example.org", 443)
    assert tcp.asked == []
    outward(tcp, private=True).connect_tcp("hooks.example.org", 443)
    assert tcp.asked == [(address, 8.0)]


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f.1", "localhost", "[::1]".strip("[]")])
def test_other_ways_to_write_a_loopback_address_are_seen_through(host):
    tcp = Tcp()
    with pytest.raises(PrivateAddressError):
        outward(tcp).connect_tcp(host, 80)
    assert tcp.asked == []


@pytest.mark.parametrize("error", [socket.gaierror(-2, "Name or service not known"), UnicodeError("label too long")])
def test_a_name_that_nobody_knows_is_no_connection(monkeypatch, error):
    def unknown(*_, **__):
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(ConnectError, match="looked up"):
        outward(Tcp()).connect_tcp("hooks.example.org", 443)


def test_when_the_time_is_over_nothing_is_begun_any_more(monkeypatch):
    Names(monkeypatch, ["8.8.8.8"])
    tcp = Tcp()
    with pytest.raises(ConnectTimeout):
        outward(tcp, longest_s=0.0).connect_tcp("hooks.example.org", 443)
    assert tcp.asked == []


def test_a_peer_that_sends_a_byte_now_and_then_has_no_more_time_than_one_that_sends_none():
    def listen():
        while monotonic() < began + 5:
            peer.sendall(b"x")
            stream.read(1)

    with socket.create_server(("127.0.0.1", 0)) as server:
        stream = Outward(0.5, private=True).connect_tcp("127.0.0.1", server.getsockname()[1])
        peer, _ = server.accept()
        began = monotonic()
        with peer, pytest.raises(ReadTimeout):
            listen()
        stream.close()
    assert 0.3 < monotonic() - began < 3
