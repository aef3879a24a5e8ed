"""What the tests of the workers publish, and where they look for what became of it."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import time

import msgspec
from amqp import Message
from kombu import Connection
from redis import Redis

from app.queue.message import of_action
from app.settings import Settings
from app.stream import client
from app.stream.topics import OUTCOMES
from tasks.contract import EXCHANGE, PARKED_QUEUE, Build, CallWebhook, Notify, Outcome, RollBack, Scale, fleet_key
from tests.processes import Processes, Running, wait_for

LEASE_S = 2
ROOT = Path(__file__).parents[1]


class Rig:
    """The servers as the workers' neighbours see them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.redis = Redis.from_url(settings.redis_url, decode_responses=True)

    def send(self, *actions) -> None:
        """Publish actions as the router does, each confirmed."""
        self.publish(*[(EXCHANGE, one.routing_key, one.body, one.properties) for one in map(of_action, actions)])

    def raw(self, queue, body, headers=None, **properties) -> None:
        """Publish any bytes straight to a queue."""
        told = {"application_headers": headers or {}, "delivery_mode": 2, **properties}
        self.publish(("", queue, body, told))

    def publish(self, *messages) -> None:
        with Connection(self.settings.rabbitmq_url, transport_options={"confirm_publish": True}) as connection:
            channel = connection.channel()
            for exchange, key, body, properties in messages:
                channel.basic_publish(Message(body, **properties), exchange, key, mandatory=True)

    def depth(self, queue) -> int:
        """Messages of a queue that are ready; those under way are not counted."""
        with Connection(self.settings.rabbitmq_url) as connection:
            return connection.channel().queue_declare(queue, passive=True).message_count

    def dead(self) -> list[bytes]:
        """Bodies of the dead letters, taken out of their queue."""
        with Connection(self.settings.rabbitmq_url) as connection:
            channel, found = connection.channel(), []
            while (message := channel.basic_get(PARKED_QUEUE, no_ack=True)) is not None:
                found.append(message.body.encode() if isinstance(message.body, str) else bytes(message.body))
            return found

    def outcomes(self, prefix="") -> list[Outcome]:
        """Outcomes on Kafka of actions whose id begins so, in the order of each service."""
        low, high = client.borders(self.settings, OUTCOMES)
        found = []
        for message in client.read_topic(self.settings, OUTCOMES, low, high):
            outcome = msgspec.json.decode(message.value, type=Outcome)
            if outcome.id.startswith(prefix):
                found.append(outcome)
        return found

    def ended(self, prefix, count=1, timeout=30) -> list[Outcome]:
        """At least so many outcomes of these actions, once they are there."""

        def found():
            with suppress(client.KafkaUnavailable):  # a broker that thaws has no leaders for a moment
                outcomes = self.outcomes(prefix)
                return outcomes if len(outcomes) >= count else None

        return wait_for(found, timeout, f"{count} outcomes of {prefix}")

    def effects(self, service) -> list[str]:
        """Ids of the actions that took effect on a service of the fleet, in order."""
        return [json.loads(entry)["id"] for entry in self.redis.lrange(f"{fleet_key(service)}:log", 0, -1)]

    def fleet(self, service, **fields) -> None:
        self.redis.hset(fleet_key(service), mapping={"replicas": 2, "generation": 0, **fields})

    def replicas(self, service) -> int:
        return int(self.redis.hget(fleet_key(service), "replicas"))


def worker(processes: Processes, env: Mapping[str, str], name="w", children=2) -> Running:
    """A started worker that has said it is ready."""
    return _ready(
        processes, ["celery", "-A", "tasks", "worker", "-l", "info", "-c", str(children), "-n", f"{name}@%h"], env
    )


def odd_worker(processes: Processes, env: Mapping[str, str], *odd: str) -> Running:
    """The same of one that is odd, in the words of `tests.odd`."""
    return _ready(processes, ["python", "-m", "tests.odd", *odd, "worker"], {**env, "PYTHONPATH": str(ROOT)})


def _ready(processes: Processes, command: Sequence[str], env: Mapping[str, str]) -> Running:
    running = processes.start(command, env)
    wait_for(lambda: " ready" in running.text or not running.alive, 40, "the worker to be ready")
    assert running.alive, running.text
    return running


def _times(expires_in_s):
    now = int(time() * 1000)
    return {"decided_at_ms": now, "expires_at_ms": now + int(expires_in_s * 1000)}


def scaling(id_, service, generation=1, to=4, expires_in_s=60.0, **fields):
    return Scale(
        id=id_,
        service=service,
        from_replicas=2,
        to_replicas=to,
        generation=generation,
        **_times(expires_in_s),
        **fields,
    )


def telling(id_, receiver="team", expires_in_s=60.0):
    return Notify(id=id_, service="web", receiver=receiver, title="web", body=f"says {id_}", **_times(expires_in_s))


def building(id_, expires_in_s=60.0):
    return Build(id=id_, service="app", repo="app", branch="main", **_times(expires_in_s))


def rolling_back(id_, service, generation=1, found="2", to="1", expires_in_s=60.0, **fields):
    return RollBack(
        id=id_,
        service=service,
        environment="prod",
        from_version=found,
        to_version=to,
        generation=generation,
        **_times(expires_in_s),
        **fields,
    )


def calling(id_, webhook="deploys", expires_in_s=60.0):
    return CallWebhook(
        id=id_, service="web", webhook=webhook, event="rollout.failed", data={"score": 0.25}, **_times(expires_in_s)
    )
