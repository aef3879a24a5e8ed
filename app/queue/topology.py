"""RabbitMQ's exchanges, queues, bindings and policies: one table, made and compared from here.

`headrace queues init|check` and the router's start use it; `docker/` and `app.local` get the same
from `definitions`. Arguments of a queue say only its type, since a changed argument is refused by
RabbitMQ; everything else is a policy, which can be changed while it runs. Policies are not part of
AMQP: they go through the management API.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from amqp.exceptions import NotFound
from kombu import Exchange, Queue

from app.queue import roles
from app.queue.api import TopologyError, call
from app.queue.connection import ERRORS, connect, sentence
from app.settings import Settings
from tasks.contract import DEAD_EXCHANGE, DEAD_QUEUE, EXCHANGE, PARKED_QUEUE, QUEUES, RETRY_S, retry_exchange

REPLICAS: Final = 3
"""Nodes that each queue should be on, where there are as many."""
QUORUM: Final = {"x-queue-type": "quorum"}

POLICIES: Final[dict[str, dict[str, Any]]] = (
    {
        "headrace-actions": {
            "pattern": f"^({'|'.join(QUEUES.values())})$",
            "apply-to": "queues",
            "priority": 10,
            "definition": {
                # a message that ends its worker this often is poison; below 20 a bad night dead-letters good ones
                "delivery-limit": 20,
                "dead-letter-exchange": DEAD_EXCHANGE,
                # at least once needs reject-publish: dead letters are not lost, and a full queue refuses, not drops
                "dead-letter-strategy": "at-least-once",
                "overflow": "reject-publish",
                "max-length": 1_000_000,
            },
        }
    }
    | {
        f"headrace-{retry_exchange(delay_s)}": {
            "pattern": f"^{retry_exchange(delay_s)}$",
            "apply-to": "queues",
            "priority": 10,
            "definition": {
                # a message waits here and then goes back where it came from: its routing key is kept
                "message-ttl": delay_s * 1000,
                "dead-letter-exchange": EXCHANGE,
                "dead-letter-strategy": "at-least-once",
                "overflow": "reject-publish",
            },
        }
        for delay_s in RETRY_S
    }
    | {
        "headrace-kept": {
            "pattern": f"^({DEAD_QUEUE}|{PARKED_QUEUE})$",
            "apply-to": "queues",
            "priority": 10,
            # nothing is behind these two: people look at a message as often as they like, and it stays
            "definition": {"delivery-limit": 1_000_000_000, "overflow": "reject-publish"},
        }
    }
)
"""Name → policy, as the management API takes it."""


def bindings() -> Iterator[tuple[str, str, str]]:
    """(exchange, queue, routing key) of each binding."""
    for kind, queue in QUEUES.items():
        yield EXCHANGE, queue, f"action.{kind.value}.#"
    yield DEAD_EXCHANGE, DEAD_QUEUE, ""
    for delay_s in RETRY_S:
        yield retry_exchange(delay_s), retry_exchange(delay_s), ""


def exchanges() -> dict[str, str]:
    """Every exchange and its type."""
    return {EXCHANGE: "topic", DEAD_EXCHANGE: "fanout"} | {retry_exchange(delay_s): "fanout" for delay_s in RETRY_S}


def queues() -> list[str]:
    """Every queue."""
    return [*QUEUES.values(), DEAD_QUEUE, PARKED_QUEUE, *map(retry_exchange, RETRY_S)]


def definitions(vhost: str = "/") -> dict[str, Any]:
    """The whole topology as RabbitMQ's definitions file has it."""
    durable = {"vhost": vhost, "durable": True, "auto_delete": False}
    return {
        "exchanges": [
            {"name": name, "type": kind, "internal": False, "arguments": {}} | durable
            for name, kind in exchanges().items()
        ],
        "queues": [{"name": name, "arguments": QUORUM} | durable for name in queues()],
        "bindings": [
            {
                "source": exchange, "destination": queue, "destination_type": "queue", "routing_key": key,
                "vhost": vhost, "arguments": {},
            }
            for exchange, queue, key in bindings()
        ],
        "policies": [{"name": name, "vhost": vhost} | policy for name, policy in POLICIES.items()],
    }  # fmt: skip


def init(settings: Settings) -> list[str]:
    """Make what is missing; the names of what was declared. Raises TopologyError."""
    made = {name: Exchange(name, type=kind, durable=True) for name, kind in exchanges().items()}
    with _connected(settings) as connection:
        channel = connection.channel()
        for exchange in made.values():
            exchange(channel).declare()
        for name, queue, key in bindings():
            one = Queue(queue, made[name], routing_key=key, durable=True, queue_arguments=QUORUM)
            one(channel).declare()
        Queue(PARKED_QUEUE, durable=True, queue_arguments=QUORUM)(channel).declare()  # published to by its name
    for name, policy in POLICIES.items():
        try:
            call(settings, "PUT", f"policies/{{vhost}}/{name}", policy)
        except TopologyError as error:
            raise TopologyError(
                f"the queues are made, their policy is not: {error}; or run `{by_hand(name)}`"
            ) from error
    return [*made, *queues(), *POLICIES]


def by_hand(name: str) -> str:
    """The command that sets a policy where there is no management API (add `-p` and the virtual host)."""
    policy = POLICIES[name]
    definition = json.dumps(policy["definition"])
    return (
        f"rabbitmqctl set_policy --priority {policy['priority']} --apply-to {policy['apply-to']} "
        f"{name} '{policy['pattern']}' '{definition}'"
    )


def check(settings: Settings, *, users: bool = False) -> list[str]:
    """What differs from what should be, a sentence each; empty when all is right.

    Users of `roles` that are there are compared; with `users` they have to be.
    """
    nodes: set[str] = set()
    try:
        with _connected(settings) as connection:
            missing = list(_missing_queues(connection))
        if missing:
            return missing
        found = call(settings, "GET", "queues/{vhost}")
        policies = {one["name"]: one for one in call(settings, "GET", "policies/{vhost}")}
        listed = call(settings, "GET", "bindings/{vhost}")
        with suppress(TopologyError):  # who may see the queues need not see the nodes
            nodes = {one["name"] for one in call(settings, "GET", "nodes")}
        unlike = list(roles.wrong(settings, wanted=users))
    except TopologyError as error:
        return [str(error)]
    types = {one["name"]: one.get("arguments", {}) for one in found}
    bound = {(one["source"], one["destination"], one["routing_key"]) for one in listed}
    return [
        *(
            f"queue {name} is no quorum queue, so a node that dies can take its messages along; "
            "when it is empty delete it and run `headrace queues init`"
            for name in queues()
            if types.get(name, QUORUM) != QUORUM
        ),
        *_wrong_policies(policies),
        *(
            f"queue {queue} is not bound to {exchange} by {key!r}; `headrace queues init` mends it"
            for exchange, queue, key in bindings()
            if (exchange, queue, key) not in bound
        ),
        *_thin(found, nodes),
        *unlike,
    ]


def _thin(found: list[dict[str, Any]], nodes: set[str]) -> Iterator[str]:
    """Quorum queues with fewer replicas than the nodes allow: declared while a node was alone, they have one."""
    wanted = min(len(nodes), REPLICAS)
    replicas = {one["name"]: set(one["members"]) for one in found if one["name"] in queues() and "members" in one}
    for name, members in replicas.items():
        if len(members) < wanted:
            lacking = sorted(nodes - members)[: wanted - len(members)]
            yield (
                f"queue {name} has {len(members)} of {wanted} replicas, so a node that dies can stop it or take its "
                f"messages along; run {' and '.join(f'`rabbitmq-queues grow {node} all`' for node in lacking)}"
            )


def _missing_queues(connection: Any) -> Iterator[str]:
    for name in queues():
        try:
            Queue(name, channel=connection.channel()).queue_declare(passive=True)
        except NotFound:
            yield f"queue {name} is missing; make it with `headrace queues init`"


def _wrong_policies(found: dict[str, Any]) -> Iterator[str]:
    for name, policy in POLICIES.items():
        if name not in found:
            yield f"RabbitMQ has no policy {name}; make it with `headrace queues init`"
        elif any(found[name].get(part) != wanted for part, wanted in policy.items()):
            yield f"RabbitMQ's policy {name} is {found[name]['definition']}; `headrace queues init` mends it"


@contextmanager
def _connected(settings: Settings) -> Iterator[Any]:
    """A connection; what goes wrong with it becomes a TopologyError."""
    connection = None
    try:
        connection = connect(settings.rabbitmq_url)
        yield connection
    except ERRORS as error:
        raise TopologyError(sentence(settings.rabbitmq_url, error)) from error
    finally:
        if connection is not None:
            connection.collect()
