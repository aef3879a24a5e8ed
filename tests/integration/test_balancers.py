"""Load balancers on a real HAProxy: the wished set by real requests, hostile wishes, and HAProxy away."""

import os
import threading
from pathlib import Path

import httpx2
import pytest

from app.local.haproxy import SLOTS, HAProxy
from app.local.receiver import Receiver
from tasks.clients.haproxy import HAProxy as Balancers
from tasks.contract import UpdateLoadBalancer
from tasks.errors import PermanentError, TemporaryError
from tests.integration.test_downstream import SAME, had, targets
from tests.processes import wait_for


@pytest.fixture
def haproxy(tmp_path):
    had(HAProxy)
    running = HAProxy(tmp_path, ["web", "api"])
    running.start()
    yield running
    running.thaw()
    running.kill()


@pytest.fixture
def balancers(haproxy, tmp_path):
    return Balancers(targets(tmp_path, f'[balancers]\nedge = "{haproxy.url}"\n'))


@pytest.fixture(scope="module")
def pods():
    with Receiver() as one, Receiver() as two, Receiver() as three:
        yield one, two, three


def serve(*servers, backend="web", balancer="edge"):
    addresses = [one if isinstance(one, str) else one.url.split("/")[2] for one in servers]
    return UpdateLoadBalancer(id="a", balancer=balancer, backend=backend, servers=addresses, generation=1, **SAME)


def down(haproxy):
    """How many servers of `web` HAProxy has found dead though they are meant to serve."""
    rows = [line.split() for line in haproxy.ask("show servers state web").splitlines()[2:] if line]
    return sum(row[5] == "0" and not int(row[6]) & 0x01 for row in rows)


def reached(haproxy, pods):
    """Which instances requests reach."""
    before = [len(pod.received) for pod in pods]
    for _ in range(12):
        assert httpx2.post(haproxy.http, content=b"x", timeout=5).status_code == 200
    return [len(pod.received) > count for pod, count in zip(pods, before, strict=True)]


def test_requests_reach_exactly_the_wished_servers(haproxy, balancers, pods):
    one, two, three = pods
    assert balancers.update(serve(one, two)) == (0, 2, True)
    assert reached(haproxy, pods) == [True, True, False]
    assert balancers.update(serve(two, three)) == (2, 2, True)
    assert reached(haproxy, pods) == [False, True, True]
    assert haproxy.serving("api") == []


def test_the_same_wish_again_changes_nothing(balancers, pods):
    balancers.update(serve(*pods))
    assert balancers.update(serve(*pods, pods[0])) == (3, 3, False)
    assert balancers.applied(serve(*pods)) == 3
    assert balancers.applied(serve(pods[0])) is None


def test_many_deploys_do_not_use_up_the_slots_and_no_request_fails_meanwhile(haproxy, balancers, pods):
    balancers.update(serve(pods[0]))
    failures, ended = [], threading.Event()

    def ask():
        while not ended.is_set():
            if httpx2.post(haproxy.http, content=b"x", timeout=5).status_code != 200:
                failures.append(1)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for n in range(3 * SLOTS):
            balancers.update(serve(pods[n % 3]))
    finally:
        ended.set()
        asking.join()
    assert failures == []


def test_too_many_servers_are_refused_before_anything_is_changed(haproxy, balancers, pods):
    balancers.update(serve(pods[0]))
    with pytest.raises(PermanentError, match="slots"):
        balancers.update(serve(*[f"127.0.0.1:{9000 + n}" for n in range(SLOTS + 1)]))
    assert haproxy.serving("web") == [pods[0].url.split("/")[2]]


@pytest.mark.parametrize(
    "wish",
    [
        serve("127.0.0.1:80", backend="nope"), serve("127.0.0.1:80", backend="web; disable server web/web1"),
        serve("127.0.0.1:80; shutdown"), serve("web-1:80"), serve("127.0.0.1:99999"), serve("127.0.0.1"), serve(),
        serve("127.0.0.1:" + "8" * 5000), serve("127.0.0.1:+80"), serve("127.0.0.1:0"),
        serve("127.0.0.1:80", balancer="nobody"), serve("[fe80::1%x; disable frontend http]:80"),
        serve("[fe80::1%x\ndisable frontend http]:80"), serve("0.0.0.0:80"), serve("[::]:80"), serve("224.0.0.1:80"),
        serve("127.0.0.1:80", backend="web\ndisable frontend http"), serve("127.0.0.1:80", backend="web/web1"),
    ],
)  # fmt: skip
def test_what_can_never_be_is_refused_and_never_sent_as_a_command(balancers, haproxy, pods, wish):
    balancers.update(serve(pods[0]))
    with pytest.raises(PermanentError):
        balancers.update(wish)
    assert haproxy.serving("web") == [pods[0].url.split("/")[2]]
    assert httpx2.post(haproxy.http, content=b"x", timeout=5).status_code == 200


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("[::1]:9001", "[::1]:9001"), ("[0:0:0:0:0:0:0:1]:9001", "[::1]:9001"),
        ("[2001:DB8::1]:80", "[2001:db8::1]:80"),
        ("[::ffff:10.1.2.3]:80", "[::ffff:10.1.2.3]:80"), ("[::ffff:a01:203]:080", "[::ffff:10.1.2.3]:80"),
    ],
)  # fmt: skip
def test_an_address_in_any_spelling_is_known_when_it_is_read_back(balancers, given, kept):
    assert balancers.update(serve(given)) == (0, 1, True)
    assert [slot.address for slot in balancers._slots(serve(given)) if slot.serves] == [kept]
    assert balancers.update(serve(given)) == (1, 1, False)


def test_a_drained_slot_with_a_wished_address_is_taken_again(balancers, pods):
    balancers.update(serve(pods[0]))
    balancers.update(serve(pods[1]))
    balancers.update(serve(pods[0]))
    slots = balancers._slots(serve(pods[0]))
    assert [slot.name for slot in slots if slot.serves] == ["web1"]
    assert [slot.name for slot in slots if slot.drained] == ["web2"]


def test_no_server_serves_before_its_address_is_read_back(haproxy, balancers, pods, monkeypatch):
    """As if HAProxy had refused the address: the slot still has that of nobody."""
    ask, sent = balancers._ask, []

    def without_addresses(action, command):
        sent.append(command)
        return "Invalid addr." if " addr " in command else ask(action, command)

    monkeypatch.setattr(balancers, "_ask", without_addresses)
    with pytest.raises(TemporaryError, match=r"Invalid addr"):
        balancers.update(serve(pods[0]))
    assert not [command for command in sent if command.endswith(" ready")]
    assert haproxy.serving("web") == []


def test_health_checks_are_switched_on_and_a_dead_server_gets_no_requests(tmp_path, pods):
    had(HAProxy)
    running = HAProxy(tmp_path, ["web"], checked=True)
    running.start()
    try:
        running.ask("disable health web/web1")
        made = Balancers(targets(tmp_path, f'[balancers]\nedge = "{running.url}"\n'))
        with Receiver() as dying:
            assert made.update(serve(dying, pods[1])) == (0, 2, True)
            assert reached(running, pods) == [False, True, False]
            assert dying.received
        wait_for(lambda: down(running) == 1, 20, "a failed check")
        assert reached(running, pods) == [False, True, False]
        assert made.applied(serve(dying, pods[1])) == 2
        assert made.update(serve(dying, pods[1])) == (2, 2, False)
    finally:
        running.kill()


def test_a_unix_socket_is_reached_too(tmp_path, pods):
    had(HAProxy)
    running = HAProxy(tmp_path, ["web"])
    prepare, place = running._prepare, f"/tmp/headrace-{os.getpid()}.sock"

    def with_unix_socket():
        prepare()
        file = running.directory / "haproxy.cfg"
        file.write_text(file.read_text().replace("defaults", f"    stats socket {place} level admin\ndefaults"))

    running._prepare = with_unix_socket
    try:
        running.start()
        made = Balancers(targets(tmp_path, f'[balancers]\nedge = "unix:{place}"\n'))
        assert made.update(serve(pods[0])) == (0, 1, True)
        running.kill()
        with pytest.raises(TemporaryError, match="does not answer"):
            made.update(serve(pods[0]))
    finally:
        running.kill()
        Path(place).unlink(missing_ok=True)
    with pytest.raises(TemporaryError, match="does not answer"):
        made.update(serve(pods[0]))


def test_a_balancer_that_is_frozen_or_gone_is_tried_again(haproxy, balancers, pods):
    haproxy.freeze()
    with pytest.raises(TemporaryError, match="does not answer"):
        balancers.update(serve(pods[0]))
    haproxy.kill()
    with pytest.raises(TemporaryError, match="does not answer"):
        balancers.update(serve(pods[0]))
    haproxy.start()
    assert balancers.update(serve(pods[0])) == (0, 1, True)


def test_a_socket_that_may_only_read_is_said(tmp_path):
    had(HAProxy)
    running = HAProxy(tmp_path, ["web"])
    prepare = running._prepare

    def unprivileged():
        prepare()
        file = running.directory / "haproxy.cfg"
        file.write_text(file.read_text().replace("level admin", "level user"))

    running._prepare = unprivileged
    try:
        running.start()
        with pytest.raises(PermanentError, match="level admin"):
            Balancers(targets(tmp_path, f'[balancers]\nedge = "{running.url}"\n')).update(serve("127.0.0.1:80"))
    finally:
        running.kill()
