"""Webhooks on receivers of our own: signed, bounded, at public addresses, and what each answer comes to."""

import base64
import json
import logging
import re
import socket
import ssl
import subprocess
import threading
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from time import monotonic, sleep, time

import msgspec
import pytest
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from app.local.receiver import Receiver
from tasks.clients.targets import Targets
from tasks.clients.webhooks import LARGEST, Webhooks
from tasks.contract import CallWebhook
from tasks.errors import PermanentError, TemporaryError

SECRET = "whsec_" + base64.b64encode(b"of the tests, thirty-two bytes!!").decode()
OTHER = "whsec_" + base64.b64encode(b"the next one, as long as the old").decode()
CALL = CallWebhook(
    id="j-0-1-2", service="web", decided_at_ms=1_795_844_718_054, expires_at_ms=2**45, webhook="deploys",
    event="rollout.failed", data={"score": 0.25, "who": "ännchen", "checks": [{"name": "errors", "passed": False}]},
)  # fmt: skip
PATH = "services/T0p/s3cret?code=s3cret"


@pytest.fixture
def receiver():
    with Receiver() as running:
        yield running


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Webhooks with one, `deploys`, at a URL."""
    monkeypatch.setenv("HOOK", SECRET)

    def make(url, longest_s=5.0, private=True, secret='secret_env = "HOOK"'):
        file = tmp_path / "targets.toml"
        file.write_text(f'[webhooks.deploys]\nurl = "{url}"\n{secret}\nprivate = {json.dumps(private)}\n')
        return Webhooks(Targets(file), longest_s)

    return make


def _read_request(connection):
    """Read all of a request: a connection that is closed before is reset, and its answer lost."""
    data = b""
    while more := connection.recv(65_536):
        data += more
        head, end, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
        if end and len(body) >= int(length[1] if length else 0):
            return


@contextmanager
def raw(*parts, pause_s=0.0, wrap=lambda connection: connection):
    """A server that answers any request with these bytes, some after some, and then closes; its address."""
    accepted = []

    def serve():
        while True:
            try:
                connection = wrap(server.accept()[0])
            except OSError:
                return
            accepted.append(connection)
            with closing(connection):
                try:
                    _read_request(connection)
                    for part in parts:
                        connection.sendall(part)
                        sleep(pause_s)
                except OSError:
                    continue

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/", accepted
        server.shutdown(socket.SHUT_RDWR)


def verified(received, secret=SECRET):
    return Verifier(secret).verify(received.body, received.headers)


def test_a_call_is_verified_by_the_standards_own_library(receiver, made):
    assert made(receiver.url + "hook?code=7").call(CALL) == 200
    (received,) = receiver.received
    assert verified(received) == {
        "type": "rollout.failed",
        "timestamp": "2026-11-28T05:45:18.054Z",
        "data": {"score": 0.25, "who": "ännchen", "checks": [{"name": "errors", "passed": False}]},
    }
    headers = {name.lower(): value for name, value in received.headers.items()}
    assert headers["webhook-id"] == "j-0-1-2"
    assert abs(time() - int(headers["webhook-timestamp"])) < 5
    assert headers["content-type"] == "application/json"
    assert received.path == "/hook?code=7"


def test_what_is_not_signed_with_the_secret_is_not_verified(receiver, made):
    made(receiver.url).call(CALL)
    (received,) = receiver.received
    with pytest.raises(WebhookVerificationError):
        verified(received, OTHER)
    forged = msgspec.json.encode(msgspec.json.decode(received.body) | {"type": "rollout.passed"})
    with pytest.raises(WebhookVerificationError):
        Verifier(SECRET).verify(forged, received.headers)


def test_a_repeat_has_the_same_id_and_body_and_a_signature_of_its_own_time(receiver, made, monkeypatch):
    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(UTC) + timedelta(seconds=70)

    webhooks = made(receiver.url)
    webhooks.call(CALL)
    monkeypatch.setattr("tasks.clients.webhooks.datetime", Later)
    webhooks.call(CALL)
    first, second = receiver.received
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]
    verified(second)


def test_while_a_secret_is_replaced_both_sign(receiver, made, tmp_path):
    (tmp_path / "hook").write_text(f"{SECRET}\n{OTHER}\n")
    webhooks = made(receiver.url, secret=f'secret_file = "{tmp_path}/hook"')
    webhooks.call(CALL)
    for secret in (SECRET, OTHER):
        verified(receiver.received[0], secret)
    (tmp_path / "hook").write_text(OTHER)
    webhooks.call(CALL)
    verified(receiver.received[1], OTHER)
    with pytest.raises(WebhookVerificationError):
        verified(receiver.received[1])


@pytest.mark.parametrize(
    "text", ["", "s3cret", "whsec_", "whsec_s3cret!", "whsec_czNjcmV0", f"{SECRET}\ns3cret", "s3crét", SECRET * 2]
)
def test_a_secret_that_is_none_is_said_and_not_shown_and_nothing_is_sent(receiver, made, tmp_path, text):
    (tmp_path / "hook").write_text(text)
    webhooks = made(receiver.url, secret=f'secret_file = "{tmp_path}/hook"')
    with pytest.raises(TemporaryError, match="has no secret") as raised:
        webhooks.call(CALL)
    assert "s3c" not in str(raised.value)
    assert receiver.entered == 0
    (tmp_path / "hook").unlink()
    with pytest.raises(TemporaryError, match="cannot be read"):
        webhooks.call(CALL)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_done(receiver, made, status):
    receiver.answer = status
    assert made(receiver.url).call(CALL) == status


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 422, 451])
def test_a_refusal_is_for_good(receiver, made, status):
    receiver.answer = status
    with pytest.raises(PermanentError, match=str(status)):
        made(receiver.url).call(CALL)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
@pytest.mark.parametrize(("told", "waits_s"), [("7", 7), ("3600", 60), ("Fri, 31 Dec 1999 23:59:59 GMT", 1), ("²", 1)])
def test_a_failure_is_tried_again_when_the_receiver_says(receiver, made, status, told, waits_s):
    receiver.answer, receiver.told = status, {"Retry-After": told}
    with pytest.raises(TemporaryError, match=str(status)) as raised:
        made(receiver.url).call(CALL)
    assert raised.value.delay_s == waits_s


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(receiver, made, status):
    with Receiver() as elsewhere:
        receiver.answer, receiver.told = status, {"Location": elsewhere.url}
        with pytest.raises(PermanentError, match="elsewhere"):
            made(receiver.url).call(CALL)
        assert elsewhere.entered == 0


def test_a_receiver_that_hangs_is_left_in_time(receiver, made):
    receiver.pause_s = 3
    began = monotonic()
    with pytest.raises(TemporaryError, match=r"does not answer within 0\.5 s"):
        made(receiver.url, longest_s=0.5).call(CALL)
    assert monotonic() - began < 2


def test_a_receiver_that_drips_is_left_in_time(made):
    drops = [b"HTTP/1.1 200 OK\r\n", *[b"x: y\r\n"] * 100]
    with raw(*drops, pause_s=0.1) as (url, _):
        began = monotonic()
        with pytest.raises(TemporaryError, match=r"within 0\.5 s"):
            made(url, longest_s=0.5).call(CALL)
        assert monotonic() - began < 2


def test_a_receiver_that_is_gone_or_speaks_no_http_is_tried_again(made):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(TemporaryError, match="cannot be reached"):
        made(f"http://127.0.0.1:{port}/{PATH}").call(CALL)
    for answer in ((), (b"s3cret words\r\n\r\n",), (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000,)):
        with raw(*answer) as (url, _), pytest.raises(TemporaryError, match="no HTTP") as raised:
            made(url + PATH).call(CALL)
        assert "s3cret" not in str(raised.value)


def test_an_answer_without_end_is_cut_and_its_status_counts(made):
    endless = [b"HTTP/1.1 202 Accepted\r\n\r\n", *[b"x" * LARGEST] * 1000]
    with raw(*endless, pause_s=0.02) as (url, _):
        began = monotonic()
        assert made(url).call(CALL) == 202
        assert monotonic() - began < 4
    with raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", pause_s=2) as (url, _):
        assert made(url, longest_s=0.5).call(CALL) == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]"])
def test_a_private_address_is_refused_before_anything_is_sent(receiver, made, host):
    url = receiver.url.replace("127.0.0.1", host)
    with pytest.raises(PermanentError, match=r"not public.*`private = true`"):
        made(url, private=False).call(CALL)
    assert receiver.entered == 0
    assert made(url).call(CALL) == 200


def test_the_proxies_of_the_environment_are_not_asked(receiver, made, monkeypatch):
    with raw() as (elsewhere, accepted):
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, elsewhere)
        assert made(receiver.url).call(CALL) == 200
        assert accepted == []


def test_neither_url_nor_secret_is_in_a_log_or_an_error(receiver, made, caplog):
    caplog.set_level(logging.INFO)
    webhooks = made(receiver.url + PATH)
    webhooks.call(CALL)
    told = []
    for status in (HTTPStatus.NOT_FOUND, HTTPStatus.FOUND, HTTPStatus.BAD_GATEWAY, HTTPStatus.GONE):
        receiver.answer, receiver.told = status, {"Location": f"/{PATH}"}
        with pytest.raises((PermanentError, TemporaryError)) as raised:
            webhooks.call(CALL)
        told.append(str(raised.value))
    text = " ".join([*told, caplog.text])
    assert "s3cret" not in text
    assert SECRET not in text
    assert SECRET.removeprefix("whsec_")[:10] not in text


@pytest.mark.parametrize("changed", [{"id": "a\r\nx: y"}, {"id": "ä"}, {"id": " a"}, {"decided_at_ms": 2**60}])
def test_an_action_that_cannot_be_sent_is_refused(receiver, made, changed):
    with pytest.raises(PermanentError):
        made(receiver.url).call(msgspec.structs.replace(CALL, **changed))
    assert receiver.entered == 0


@pytest.fixture
def certified(tmp_path):
    """A context for a server whose certificate is for hooks.example.org, and the file to trust it by."""
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=hooks.example.org", "-addext", "subjectAltName=DNS:hooks.example.org",
         "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, certificate


def test_tls_asks_for_a_certificate_of_the_name_and_not_of_the_address(made, certified, monkeypatch):
    context, certificate = certified
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    looked_up = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *given, **more: looked_up("127.0.0.1", *given, **more))
    wrap = lambda connection: context.wrap_socket(connection, server_side=True)  # noqa: E731
    with raw(b"HTTP/1.1 204 No Content\r\n\r\n", wrap=wrap) as (url, _):
        port = url.rpartition(":")[2]
        assert made(f"https://hooks.example.org:{port}").call(CALL) == 204
        with pytest.raises(TemporaryError, match="certificate"):
            made(f"https://other.example.org:{port}").call(CALL)
    monkeypatch.delenv("SSL_CERT_FILE")
    with raw(b"HTTP/1.1 204 No Content\r\n\r\n", wrap=wrap) as (url, _), pytest.raises(TemporaryError):
        made(f"https://hooks.example.org:{url.rpartition(':')[2]}").call(CALL)
