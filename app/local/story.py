"""What happens in the demo besides load: a config change, a deploy, pushes, RabbitMQ away for a while.

Each is done as a user would do it, over HTTP, at its second of the run; `app.cli.demo` drives it.
"""

import hashlib
import hmac
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic, sleep
from typing import Any, Final

import httpx2

from app.local.downstream import SERVICE, VERSION
from app.local.server import Server

SECRET: Final = "the-demo's-webhook-secret"  # noqa: S105 - of the demo alone
ENVIRONMENT: Final = "production"
AWAY_S: Final = 3.0
"""Seconds for which RabbitMQ is away, besides the time that its start takes."""

Say = Callable[[str], None]


@dataclass
class Story:
    """The happenings and what came back. `rabbitmq` is None where it is not ours to kill; `run` has a version run."""

    gateway: str
    addresses: list[str]
    rabbitmq: Server | None
    say: Say
    run: Callable[[str, str], None]
    deliveries: list[str] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    away_s: float = 0.0
    failure: Exception | None = None
    _next: int = 0
    _threads: list[threading.Thread] = field(default_factory=list)

    def go_on(self, at_s: float) -> None:
        """Do what is due, on a thread: the fleet does not wait for it."""
        plan: list[tuple[float, Callable[[], None]]] = [
            (4.0, self.change), (6.0, self.deploy), (20.0, self.push), (26.0, self.go_away)
        ]  # fmt: skip
        while self._next < len(plan) and at_s >= plan[self._next][0]:
            thread = threading.Thread(target=self._try, args=(plan[self._next][1],), daemon=True)
            self._next += 1
            self._threads.append(thread)
            thread.start()

    def finish(self, longest_s: float) -> None:
        """Wait for what is under way."""
        for thread in self._threads:
            thread.join(longest_s)

    def change(self) -> None:
        """Somebody changes a setting."""
        self._event({"type": "config_changed", "service": SERVICE, "what": "timeout 5 s", "who": "bob"})
        self.say("bob changes a setting of web (POST /events)")

    def deploy(self) -> None:
        """A deploy, each of its events sent three times, as a sender that is not sure does."""
        self.run(SERVICE, VERSION)
        about = {"version": VERSION, "commit": "9fceb02", "team": "shop", "link": "https://ci.example.org/7"}
        events: list[dict[str, Any]] = [{"type": "deploy_started", "who": "ann"} | about]
        for number, address in enumerate(self.addresses, 1):
            events.append({"type": "pod_started", "pod": f"{SERVICE}-{number}", "address": address})
        events.append({"type": "deployed", "version": VERSION})
        for number, one in enumerate(events):
            for _ in range(3):
                self._event({"service": SERVICE, "environment": ENVIRONMENT, "id": f"deploy-{number}"} | one)
        self.say(f"ann deploys web {VERSION}: {len(events)} events, each sent three times")

    def push(self) -> None:
        """A push that becomes a build, delivered twice."""
        for _ in range(2):
            self._webhook("push-1", "main")
        self.say(f"a signed push, delivered twice: {', '.join(self.states[-2:])}")

    def go_away(self) -> None:
        """RabbitMQ is killed and comes back; a push comes meanwhile."""
        if self.rabbitmq is None:
            self.say("RabbitMQ is not ours, so it is not killed")
            return
        began = monotonic()
        self.rabbitmq.kill()
        self.say("KILLED RabbitMQ; decisions go on")
        self._webhook("push-2", "feature")
        self.say(f"a push while RabbitMQ is away: {self.states[-1]}")
        sleep(AWAY_S)
        self.rabbitmq.start()
        self.away_s = monotonic() - began
        self.say(f"RabbitMQ is back after {self.away_s:.0f} s")

    def _try(self, what: Callable[[], None]) -> None:
        try:
            what()
        except Exception as error:  # noqa: BLE001 - the thread has no other way to tell its owner
            self.failure = error

    def _event(self, event: dict[str, Any]) -> None:
        httpx2.post(f"{self.gateway}events", json=event, timeout=20).raise_for_status()

    def _webhook(self, delivery: str, branch: str) -> None:
        body = json.dumps(
            {"ref": f"refs/heads/{branch}", "after": "9fceb02d0ae598e9", "repository": {"full_name": "shop/web"}}
        ).encode()
        headers = {
            "X-GitHub-Event": "push",
            "X-GitHub-Delivery": delivery,
            "X-Hub-Signature-256": f"sha256={hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()}",
        }
        answer = httpx2.post(f"{self.gateway}webhooks/github", content=body, headers=headers, timeout=20)
        answer.raise_for_status()
        self.deliveries.append(delivery)
        self.states.append(answer.json()["state"])
