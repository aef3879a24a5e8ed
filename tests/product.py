"""The product as people run it, started and driven for a module of tests: its own commands, real servers.

A test drives it with plain messages and reads what came of it with the product's own readers.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from confluent_kafka import Producer
from redis import Redis

from app.local.receiver import Receiver
from app.local.servers import Servers
from app.local.watch import Watch
from app.policy.facts import Record, decode
from app.settings import Settings
from app.stream import client
from app.stream.topics import CHANGELOG, CONTROL, DECISIONS, JOURNAL, OUTCOMES
from tasks.contract import fleet_key
from tests import fresh
from tests.processes import Processes, Running, wait_for

GROUPS = {"intake": ("metrics", "deploy_events", "instances", CONTROL, OUTCOMES), "router": (DECISIONS,)}
"""Groups and what they read, but for the journal, on which time itself goes on."""

POLICY = """
apiVersion: headrace/v1
kind: Scale
metadata: {{name: all}}
spec:
  service: "*"
  minReplicas: 1
  maxReplicas: {most}
  metrics:
    - type: Resource
      resource: {{name: cpu, target: {{type: Utilization, averageUtilization: {target}}}}}
  behavior: {{scaleDown: {{stabilizationWindowSeconds: 0}}}}
  for: {{up: 0s, down: 1s}}
  every: 0s
  notify: team
"""


def policy(target: int = 60, most: int = 9) -> str:
    """A policy file for every service."""
    return POLICY.format(target=target, most=most)


class Product:
    """Fresh topics, queues and keys, a receiver of notifications, a reader; programs as they are asked for."""

    def __init__(self, servers: Servers, directory: Path, **more: str) -> None:
        self.directory = directory
        kafka = {name: value for name, value in more.items() if name.startswith("HEADRACE_KAFKA_")}
        given = {name.removeprefix("HEADRACE_").lower(): value for name, value in (servers.env | kafka).items()}
        self.settings = Settings.model_validate(given | {"partitions": 4})
        self.receiver = Receiver()
        self.redis = Redis.from_url(servers.redis_url, decode_responses=True)
        self.env = servers.env | {
            "HEADRACE_PARTITIONS": "4",
            "HEADRACE_DATADIR": str(directory / "faust"),
            "HEADRACE_TARGETS_FILE": str(directory / "targets.toml"),
            "HEADRACE_SESSION_S": "6",
            "HEADRACE_LOG_JSON": "true",
            **more,
        }
        self.processes = Processes(directory / "processes")
        self.watch = Watch(self.settings, lambda _: None)

    def __enter__(self):
        fresh.topics(self.settings)
        fresh.queues(self.settings)
        fresh.keys(self.settings)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.receiver.__enter__()
        url = f"json{self.receiver.url.removeprefix('http')}"
        (self.directory / "targets.toml").write_text(f'[receivers]\nteam = "{url}"\n')
        self.watch.__enter__()
        return self

    def __exit__(self, *_):
        self.processes.end()
        self.receiver.__exit__()
        self.redis.close()

    def stream(self, app: str = "app", **more: str) -> Running:
        """`faust -A app worker -l info`, as it is typed."""
        return self.processes.start(["faust", "-A", app, "worker", "-l", "info"], self.env | more)

    def worker(self) -> Running:
        """`celery -A tasks worker -l info`, as it is typed, once it takes tasks."""
        worker = self.processes.start(["celery", "-A", "tasks", "worker", "-l", "info"], self.env)
        wait_for(lambda: " ready." in worker.text, 60, "the worker to be ready")
        return worker

    def headrace(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run the command to its end; fails if it ends with another exit code than `code`."""
        program = str(Path(sys.executable).parent / "headrace")
        env = {**os.environ, **self.env, "COLUMNS": "250", "NO_COLOR": "1"}
        done = subprocess.run([program, *arguments], env=env, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == code, f"{arguments} ended with {done.returncode}: {done.stdout}{done.stderr}"
        return done

    def apply(self, text: str, *, author: str = "ann", message: str = "") -> None:
        """Put a policy file in force, and wait until every partition has it."""
        file = self.directory / "policy.yaml"
        file.write_text(text)
        before = self.reasons().count("POLICIES_CHANGED")
        self.headrace("policy", "apply", str(file), "--author", author, "-m", message)
        wait_for(lambda: self.reasons().count("POLICIES_CHANGED") >= before + 4, 60, "the policies in force")

    def reasons(self) -> list[str]:
        """Reasons of all decisions so far."""
        return [one.reason.value for one in list(self.watch.tally.decisions.values())]

    def send(self, topic: str, *values: object, partition: int = 0, **config: str) -> list[int]:
        """Send values to one partition, as one batch where Kafka allows; their offsets. Bytes go as they are."""
        offsets: list[int] = []
        producer = Producer(
            self.settings.librdkafka(acks="all") | {"linger.ms": 50, "message.max.bytes": 5_000_000} | config
        )
        for value in values:
            raw = value if isinstance(value, bytes | None) else json.dumps(value).encode()
            producer.produce(topic, raw, partition=partition, on_delivery=lambda _, m: offsets.append(m.offset()))
        assert producer.flush(30) == 0
        return offsets

    def replicas(self, service: str) -> int:
        """Replicas that the fleet was told to have; 0 before the first word."""
        return int(self.redis.hget(fleet_key(service), "replicas") or 0)

    def scalings(self, service: str) -> list:
        """Decisions to scale a service, in their order."""
        actions = list(self.watch.tally.actions.values())
        return [one for one in actions if one.service == service and hasattr(one.action, "to_replicas")]

    def journal(self) -> Iterable[Record]:
        """The whole journal."""
        low, high = client.borders(self.settings, JOURNAL)
        for message in client.read_topic(self.settings, JOURNAL, low, high):
            yield Record(message.partition, message.offset, message.timestamp_ms, decode(message.value))

    def facts(self, kind: type) -> list:
        """All facts of a kind."""
        return [record.fact for record in self.journal() if isinstance(record.fact, kind)]

    def lag(self, group: str, topic: str) -> int:
        """Records of a topic that a group has not committed."""
        low, high = client.borders(self.settings, topic)
        done = client.committed(self.settings, group, topic)
        return sum(high[p] - done.get(p, low[p]) for p in high)

    def lags(self) -> Mapping[str, int]:
        """Topics that have something uncommitted, but for the journal."""
        found = {topic: self.lag(group, topic) for group, topics in GROUPS.items() for topic in topics}
        return {topic: lag for topic, lag in found.items() if lag}

    def states(self) -> dict[int, bytes]:
        """The newest written state of each partition."""
        low, high = client.borders(self.settings, CHANGELOG)
        return {m.partition: m.value for m in client.read_topic(self.settings, CHANGELOG, low, high)}
