"""A simulated fleet: services whose CPU is their load divided by their replicas, sent as an agent would.

Used by the demo and by tests. It reads the wanted replicas from Redis, where the worker's
`simulated` driver sets them, and sends plain samples and instance counts to the users' topics, and an event
when that driver has rolled a service back, as deployers do. It decides nothing and writes to Redis only what
a service begins with, and the version that somebody deploys.
"""

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic, time
from typing import Any, Final, Self

from confluent_kafka import Producer
from redis import Redis

from app.local import load
from app.settings import Settings
from tasks.contract import fleet_key

INSTANCES_EVERY_S: Final = 0.5
"""Seconds between two reports of a service's instances, which also follow each change at once."""


@dataclass(frozen=True)
class Seen:
    """A service as it is now: mean CPU in percent, replicas wanted, instances that serve, newest scaling applied."""

    cpu: float
    wanted: int
    ready: int
    generation: int


class Fleet:
    """Sends the samples of `services` every `period_s` seconds, from a thread, as long as the block runs."""

    def __init__(
        self, settings: Settings, services: Sequence[load.Service] = load.SERVICES, *, period_s: float = 0.2
    ) -> None:
        """Nothing is sent before the block begins."""
        self.samples = 0
        self.failure: Exception | None = None
        self._services = services
        self._period_s = period_s
        self._redis: Any = Redis.from_url(settings.redis_url, decode_responses=True)
        self._producer = Producer(settings.librdkafka(acks="all", log_level=0) | {"linger.ms": 5})
        topics = {kind: topic for topic, kind in reversed(settings.sources.items())}
        self._metrics, self._instances, self._events = topics["metrics"], topics["instances"], topics["events"]
        self._rolled_back: dict[str, str] = {}
        self._serving = {service.name: load.Instances(service.replicas) for service in services}
        self._reported: dict[str, tuple[Seen, float]] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fleet", daemon=True)

    def __enter__(self) -> Self:
        for service in self._services:
            begin = {"replicas": service.replicas, "generation": 0, "resource_version": 1}
            for field, value in begin.items():
                self._redis.hsetnx(fleet_key(service.name), field, value)
            self._serving[service.name] = load.Instances(self._wanted(service.name)[0])
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self._producer.flush(10)
        self._redis.close()

    @property
    def seen(self) -> dict[str, Seen]:
        """Service → how it is now."""
        return {name: seen for name, (seen, _) in self._reported.copy().items()}

    def deploy(self, service: str, version: str) -> None:
        """Have a service run a version from now on; its events are its deployer's."""
        self._redis.hset(fleet_key(service), "version", version)

    def _run(self) -> None:
        began = monotonic()
        beat = began
        try:
            while not self._end.is_set():
                for service in self._services:
                    self._report(service, monotonic() - began)
                    self._tell(service.name)
                self._producer.poll(0)
                beat += self._period_s
                self._end.wait(max(0.0, beat - monotonic()))
        except Exception as error:  # noqa: BLE001 - the thread has no other way to tell its owner
            self.failure = error

    def _report(self, service: load.Service, at_s: float) -> None:
        wanted, generation = self._wanted(service.name)
        ready = self._serving[service.name].want(wanted, at_s)
        values = [load.cpu(service, at_s, ready, number) for number in range(ready)]
        for host, value in zip(load.hosts(service.name, ready), values, strict=True):
            self._send(self._metrics, {"host": host, "cpu": value})
        self.samples += ready
        seen = Seen(round(sum(values) / max(1, ready), 1), wanted, ready, generation)
        before, last_s = self._reported.get(service.name, (None, 0.0))
        changed = before is None or (before.wanted, before.ready, before.generation) != (wanted, ready, generation)
        due = changed or at_s - last_s >= INSTANCES_EVERY_S
        self._reported[service.name] = (seen, at_s if due else last_s)
        if due:
            report = {"service": service.name, "wanted": wanted, "ready": ready, "generation": generation}
            self._send(self._instances, report | {"at": int(time() * 1000)})

    def _tell(self, service: str) -> None:
        """Send an event of the last rollback, unless that was sent; sent again, it is known by its action's id."""
        fields = ("rolled_back_by", "rolled_back_at_ms", "rolled_back_in", "rolled_back_to")
        by, at_ms, environment, version = self._redis.hmget(fleet_key(service), fields)
        if by is None or self._rolled_back.get(service) == by:
            return
        self._rolled_back[service] = by
        event = {"type": "rolled_back", "service": service, "environment": environment, "version": version}
        self._send(self._events, event | {"id": by, "who": "headrace", "at": int(at_ms)})

    def _wanted(self, service: str) -> tuple[int, int]:
        replicas, generation = self._redis.hmget(fleet_key(service), "replicas", "generation")
        return int(replicas or 0), int(generation or 0)

    def _send(self, topic: str, value: dict[str, object]) -> None:
        self._producer.produce(topic, json.dumps(value))
