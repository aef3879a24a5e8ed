"""The gateway as a program, on a real RabbitMQ and Kafka: what it promises, and what it makes of bad clients."""

import hashlib
import hmac
import json
import re
import signal
import socket
import uuid
from pathlib import Path
from time import monotonic

import httpx2
import pytest

from app.gateway.bodies import LARGEST
from app.gateway.spool import Spool
from app.policy.facts import Change, Deploy
from app.stream import client
from app.stream.topics import JOURNAL
from tests.processes import Running, wait_for
from tests.rig import Rig

PUSH = next(
    one
    for one in json.loads((Path(__file__).parents[1] / "data" / "github_webhooks.json").read_text(encoding="utf-8"))[
        "push"
    ]
    if one["ref"] == "refs/heads/master"
)
SECRET = "s3cret"


class Gateway:
    """The running program and a client of it."""

    def __init__(self, running: Running, rig: Rig, spool: Path) -> None:
        self.running = running
        self.rig = rig
        self.spool = Spool(spool)
        said = re.compile(r"the incident page is at (http://\S+/)")
        wait_for(lambda: said.search(running.text) or not running.alive, 30, "the gateway to listen")
        assert running.alive, running.text
        self.url = said.search(running.text)[1]
        self.http = httpx2.Client(base_url=self.url, timeout=40)

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.url.removeprefix("http://").rstrip("/").split(":")
        return host, int(port)

    def hook(self, body=PUSH, delivery=None, event="push", signature=None, **headers):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        ours = f"sha256={hmac.new(SECRET.encode(), raw, hashlib.sha256).hexdigest()}"
        told = {
            "X-GitHub-Event": event, "X-GitHub-Delivery": delivery or str(uuid.uuid4()),
            "X-Hub-Signature-256": ours if signature is None else signature, "Content-Type": "application/json",
        }  # fmt: skip
        return self.http.post("webhooks/github", content=raw, headers=told | headers)

    def log(self, event):
        lines = [json.loads(line) for line in self.running.text.splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("event") == event]


@pytest.fixture
def gateway(clean, headrace_env, processes, tmp_path):
    env = headrace_env | {
        "HEADRACE_GATEWAY_PORT": "0",
        "HEADRACE_GITHUB_SECRETS": f"next,{SECRET}",
        "HEADRACE_SPOOL": str(tmp_path / "spool.db"),
    }

    def start(**more):
        return Gateway(processes.start(["headrace", "gateway"], env | more), Rig(clean), tmp_path / "spool.db")

    return start


def test_a_signed_push_is_answered_when_rabbitmq_has_the_build(gateway):
    here = gateway()
    answer = here.hook(delivery="d-1")
    assert (answer.status_code, answer.json()) == (202, {"id": "github-d-1", "state": "confirmed"})
    assert here.rig.depth("build_jobs") == 1
    assert here.hook(event="ping").json() == {"ignored": "events of type 'ping' start no build"}


@pytest.mark.parametrize("signature", ["", "sha256=0", f"sha256={'0' * 64}"])
def test_an_unsigned_or_wrongly_signed_webhook_is_refused_before_it_is_read(gateway, signature):
    here = gateway()
    assert here.hook(signature=signature).status_code == 401
    assert here.hook(b"{", signature=signature).status_code == 401
    assert here.rig.depth("build_jobs") == 0
    assert here.log("webhook")[-1]["status"] == 401


def test_without_a_secret_nothing_is_taken(gateway):
    here = gateway(HEADRACE_GITHUB_SECRETS="")
    assert here.hook().status_code == 403


def test_what_is_signed_and_malformed_is_refused_with_a_sentence(gateway):
    here = gateway()
    for body, delivery in ((b"{", None), (b"[]", None), (PUSH, "../x")):
        answer = here.hook(body, delivery=delivery)
        assert answer.status_code == 400
        assert answer.json()["error"]


def test_a_body_over_the_limit_is_cut_off_and_one_below_is_read(gateway):
    here = gateway()
    padded = json.dumps(PUSH | {"commits": ["x" * (LARGEST - 100_000)]}).encode()
    assert here.hook(padded).status_code == 202
    assert here.hook(b"x" * (LARGEST + 1)).status_code == 413

    def chunks():
        for _ in range(30):
            yield b"x" * 1_000_000

    answer = here.http.post("webhooks/github", content=chunks(), headers={"X-Hub-Signature-256": "x"})
    assert answer.status_code == 413
    assert here.hook().status_code == 202


def test_a_client_that_trickles_is_cut_off_and_others_are_served_meanwhile(gateway):
    here = gateway()
    slow = [socket.create_connection(here.address) for _ in range(20)]
    try:
        for number, one in enumerate(slow):
            head = b"POST /webhooks/github HTTP/1.1\r\nHost: x\r\n"
            one.sendall(head + (b"Content-Length: 9\r\n\r\nx" if number % 2 else b"X-A: b\r\n"))
        assert here.hook().status_code == 202
        began, ended = monotonic(), []
        for one in slow:
            one.settimeout(40)
            ended.append(one.recv(1000))
        assert monotonic() - began > 5, "the limits are given, not at once"
    finally:
        for one in slow:
            one.close()
    assert [b"408" in answer[:20] for answer in ended] == [bool(number % 2) for number in range(20)]


def test_while_rabbitmq_is_away_builds_are_safe_on_the_disk_and_go_out_by_themselves(gateway, rabbitmq):
    here = gateway()
    assert here.hook(delivery="before").json()["state"] == "confirmed"
    rabbitmq.kill()
    states = [here.hook(delivery=f"away-{n}").json()["state"] for n in range(20)]
    assert states == ["spooled"] * 20
    assert here.spool.count() == 20
    rabbitmq.start()
    wait_for(lambda: here.spool.count() == 0, 60, "the spool to be published")
    assert here.rig.depth("build_jobs") == 21
    wait_for(lambda: here.hook().json()["state"] == "confirmed", 30, "confirms again")


def test_a_gateway_that_is_killed_leaves_what_it_promised_to_the_next(gateway, rabbitmq):
    here = gateway()
    rabbitmq.kill()
    promised = [here.hook(delivery=f"p-{n}").json()["id"] for n in range(5)]
    here.running.signal(signal.SIGKILL)
    rabbitmq.start()
    again = gateway()
    wait_for(lambda: again.spool.count() == 0, 60, "the spool to be published")
    assert again.rig.depth("build_jobs") == len(promised)


def test_a_frozen_rabbitmq_does_not_hold_an_answer(gateway, rabbitmq):
    here = gateway()
    here.hook()
    rabbitmq.freeze()
    began = monotonic()
    assert here.hook(delivery="cold").json() == {"id": "github-cold", "state": "spooled"}
    assert monotonic() - began < 10, "a Git host waits no longer"
    rabbitmq.thaw()
    wait_for(lambda: here.spool.count() == 0, 60, "the spool to be published")


def test_what_cannot_be_kept_anywhere_is_not_promised(gateway, rabbitmq, tmp_path):
    (tmp_path / "file").write_text("")
    here = gateway(HEADRACE_SPOOL=str(tmp_path / "file" / "spool.db"))
    rabbitmq.kill()
    answer = here.hook()
    assert answer.status_code == 503
    assert "nowhere safe" in answer.json()["error"]
    assert answer.headers["retry-after"] == "30"


def test_events_are_taken_in_every_dress_and_refused_with_the_intakes_own_words(gateway, headrace_env, processes):
    here = gateway()
    plain = {"type": "deployed", "service": "web", "version": "2", "id": "1"}
    cloud = {
        "specversion": "1.0",
        "id": "2",
        "source": "/ci",
        "type": "flag_changed",
        "data": {"service": "web", "what": "x"},
    }
    cdevent = {
        "context": {"type": "dev.cdevents.service.deployed.0.2.0", "id": "3", "source": "/ci"},
        "subject": {"id": "web", "content": {"artifactId": "pkg:oci/web@3"}},
    }
    structured = {"Content-Type": "application/cloudevents+json; charset=utf-8"}
    binary = {"ce-specversion": "1.0", "ce-id": "4", "ce-source": "/ci", "ce-type": "config_changed"}
    for body, headers in (
        (plain, {}), (cloud, structured), (cdevent, {}), ({"service": "web", "what": "y"}, binary),
        ([cloud | {"id": "5"}, cloud | {"id": "6"}], {"Content-Type": "application/cloudevents-batch+json"}),
    ):  # fmt: skip
        answer = here.http.post("events", content=json.dumps(body).encode(), headers=headers)
        assert answer.status_code == 202, answer.text
    for body in (b"{", b"[]", b'{"type": "exploded", "service": "web"}', b'{"type": "deployed"}', b""):
        assert here.http.post("events", content=body).status_code == 422
    assert "is not known" in here.http.post("events", content=b'{"type": "exploded", "service": "w"}').json()["error"]
    processes.start(["faust", "-A", "app.intake", "worker"], headrace_env)
    wait_for(lambda: len(facts(here.rig.settings)) == 6, 60, "the facts on the journal")
    assert {one.event_id for one in facts(here.rig.settings)} == {"#1", "/ci#2", "/ci#3", "/ci#4", "/ci#5", "/ci#6"}


def facts(settings):
    from app.policy.facts import decode

    low, high = client.borders(settings, JOURNAL)
    found = [decode(message.value) for message in client.read_topic(settings, JOURNAL, low, high)]
    return [one for one in found if isinstance(one, Deploy | Change)]


def test_events_are_not_promised_while_kafka_is_away_and_taken_when_it_is_back(gateway, kafka):
    here = gateway()
    kafka.kill()
    event = json.dumps({"type": "deployed", "service": "web"}).encode()
    assert here.http.post("events", content=event).status_code == 503
    assert here.hook().status_code == 202, "builds need no Kafka"
    kafka.start()
    wait_for(lambda: here.http.post("events", content=event).status_code == 202, 60, "Kafka to take it")


def test_a_token_is_asked_for_where_others_can_connect(gateway, processes, headrace_env):
    refused = processes.start(["headrace", "gateway"], headrace_env | {"HEADRACE_GATEWAY_HOST": "0.0.0.0"})
    wait_for(lambda: not refused.alive, 30, "the refusal")
    assert "HEADRACE_GATEWAY_TOKEN" in refused.text
    here = gateway(HEADRACE_GATEWAY_TOKEN="t0ken")
    assert here.http.get("").status_code == 401
    assert here.http.get("", auth=("me", "t0ken")).status_code == 200
    assert here.http.post("events", content=b"{}").status_code == 401
    assert here.hook().status_code == 202, "a webhook is signed"
    assert "t0ken" not in here.running.text


def test_an_address_that_is_taken_is_said(gateway, processes, headrace_env):
    here = gateway()
    second = processes.start(["headrace", "gateway"], headrace_env | {"HEADRACE_GATEWAY_PORT": str(here.address[1])})
    wait_for(lambda: not second.alive, 30, "the refusal")
    assert second.code == 1
    assert "cannot listen" in second.text
