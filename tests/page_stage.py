"""What the tests of the incident page have: a gateway in this process, and a stream that is written by hand."""

import json
import socket
import threading
import time
import urllib.request

import uvicorn
from confluent_kafka import Producer

from app.gateway.main import build
from app.policy import decision as decisions
from app.policy import facts
from app.policy.decision import Decision, Reason
from app.policy.facts import Samples, Series, Source, Tick, partition_of
from app.stream.topics import DECISIONS, JOURNAL, OUTCOMES, QUARANTINE
from app.wire.quarantine import quarantined
from app.wire.rules import Raw
from tasks.contract import Kind, Outcome, Scale, Status, encode
from tests.processes import wait_for

HOSTILE = "<img src=x onerror=alert(1)>"
PARTITIONS = 4
LIVE_MS = 30_000
CLOCK = "(seconds) => seconds.map((one) => new Date(one * 1000).toTimeString().slice(0, 8))"
"""How the browser reads seconds since the epoch on its own clock."""

DRAWN = """(name) => {
  const card = [...document.querySelectorAll(".card")].find((one) => one.dataset.service === name);
  const canvas = card.querySelector("canvas"), copy = document.createElement("canvas");
  copy.width = canvas.width;
  copy.height = canvas.height + 1;
  const context = copy.getContext("2d", { willReadFrequently: true });
  context.drawImage(canvas, 0, 1);
  context.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--line-1");
  context.fillRect(0, 0, 1, 1);
  const pixels = new Uint32Array(context.getImageData(0, 0, copy.width, copy.height).data.buffer);
  return pixels.includes(pixels[0], 1);
}"""
"""Whether a service's chart has a pixel of the first line's colour."""


class Gateway:
    """The product's gateway on a free port, to stop and start again on the same one."""

    def __init__(self, settings):
        self.settings = settings
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"

    def start(self):
        config = uvicorn.Config(
            build(self.settings), port=self.port, log_level="warning", timeout_graceful_shutdown=1, ws="none"
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        wait_for(lambda: self.server.started, 30, "the gateway to listen")
        return self

    def stop(self):
        self.server.should_exit = True
        self.thread.join(30)
        assert not self.thread.is_alive()

    def get(self, path="", **headers):
        request = urllib.request.Request(self.url + path, headers=headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.headers, answer.read()

    def board(self):
        return json.loads(self.get("api/board")[1])

    def standing(self):
        return self.board()["standing"]["state"]


class Stream:
    """Writes what the stream side and the workers would; a tick each second, until it is stopped."""

    def __init__(self, settings):
        self.producer = Producer(settings.librdkafka(acks="all", log_level=0) | {"message.timeout.ms": 10_000})
        self.offset = now()  # no test has an id of another
        self.end = threading.Event()
        self.ticking = threading.Event()
        self.thread = threading.Thread(target=self.tick, daemon=True)
        self.thread.start()

    def tick(self):
        while not self.end.wait(0.5):
            if self.ticking.is_set():
                for partition in range(PARTITIONS):
                    self.put(JOURNAL, facts.encode(Tick(now())), partition)

    def put(self, topic, raw, partition=0):
        self.producer.produce(topic, raw, partition=partition)
        self.producer.poll(0)

    def fact(self, fact):
        self.put(JOURNAL, facts.encode(fact), partition_of(fact.service, PARTITIONS))

    def samples(self, service, *values, name="cpu"):
        series = [Series(service, name, {"host": f"{service}-{n}"}) for n in range(len(values))]
        each, zeros = list(range(len(values))), [0] * len(values)
        pack = Samples(source(), series, each, [now()] * len(values), [float(v) for v in values], zeros, zeros)
        self.put(JOURNAL, facts.encode(pack), partition_of(service, PARTITIONS))

    def scaling(self, service, to=3, status=Status.DONE, lasts_ms=60_000):
        """A scaling from 2 and, where `status` says so, its outcome. Its id."""
        self.offset += 1
        at = now()
        action = Scale(
            id=f"j-0-{self.offset}-0", service=service, decided_at_ms=at, expires_at_ms=at + lasts_ms,
            from_replicas=2, to_replicas=to, generation=at,
        )  # fmt: skip
        self.decide(service, Reason.ABOVE_TARGET, action)
        if status:
            outcome = Outcome(
                id=action.id, action=Kind.SCALE, service=service, status=status, detail=f"2 → {to} replicas", set=to,
                started_at_ms=at, ended_at_ms=at + 120, worker="here:1",
            )  # fmt: skip
            self.put(OUTCOMES, encode(outcome))
        return action.id

    def decide(self, service, reason, action=None):
        if action is None:
            self.offset += 1
        evidence = {"metrics": [{"name": "cpu", "value": 92.0, "target": 60.0}]}
        decision = Decision(
            id=action.id if action else f"j-0-{self.offset}-0", at_ms=now(), service=service, policy="web",
            fingerprint="f", reason=reason, evidence=evidence, action=action,
        )  # fmt: skip
        self.put(DECISIONS, decisions.encode(decision))

    def quarantine(self, value):
        self.put(
            QUARANTINE, quarantined(Raw("metrics", "id", 0, self.offset, now(), None, value), "it is not JSON").encode()
        )

    def stop(self):
        self.end.set()
        self.thread.join()
        self.producer.flush(10)


def now():
    return round(time.time() * 1000)


def source():
    return Source("metrics", "id", 0, 0, 0)


def opened(chromium, gateway, **how):
    """A page that must end without an error and without a request to another host."""
    with chromium.new_context(**how) as context:
        page = context.new_page()
        page.foreign, page.wrong = [], []
        page.on("request", lambda one: page.foreign.append(one.url) if not ours(one.url, gateway) else None)
        page.on("pageerror", lambda error: page.wrong.append(str(error)))
        page.on("console", lambda said: page.wrong.append(said.text) if said.type in {"error", "warning"} else None)
        page.on("dialog", lambda dialog: (page.wrong.append(dialog.message), dialog.dismiss()))
        page.goto(gateway.url)
        yield page
        assert page.foreign == []
        assert page.wrong == []


def ours(url, gateway):
    return url.startswith((gateway.url, "data:"))
