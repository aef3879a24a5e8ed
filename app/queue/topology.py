"""RabbitMQ's exchanges, queues, bindings and policies: one table, made and compared from here.

`headrace queues init|check` and the router's start use it; `docker/` and `app.local` get the same
from `definitions`. Arguments of a queue say only its type, since a changed argument is refused by
RabbitMQ; everything else is a policy, which can be changed while it runs. Policies are not part of
AMQP: they go through the management API.
"""

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

import httpx2
from kombu import Connection, Exchange, Queue
from kombu.exceptions import OperationalError

from app.settings import Settings, masked
from tasks.contract import DEAD_EXCHANGE, DEAD_QUEUE, EXCHANGE, QUEUES

TIMEOUT_S: Final = 10.0

QUORUM: Final = {"x-queue-type": "quorum"}

POLICIES: Final[dict[str, dict[str, Any]]] = {
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
"""Name → policy, as the management API takes it."""


class TopologyError(Exception):
    """RabbitMQ cannot be asked or refuses; the text is a sentence."""


def bindings() -> Iterator[tuple[str, str, str]]:
    """(exchange, queue, routing key) of each binding."""
    for kind, queue in QUEUES.items():
        yield EXCHANGE, queue, f"action.{kind.value}.#"
    yield DEAD_EXCHANGE, DEAD_QUEUE, ""


def queues() -> list[str]:
    """Every queue."""
    return [*QUEUES.values(), DEAD_QUEUE]


def definitions(vhost: str = "/") -> dict[str, Any]:
    """The whole topology as RabbitMQ's definitions file has it."""
    durable = {"vhost": vhost, "durable": True, "auto_delete": False}
    return {
        "exchanges": [
            {"name": EXCHANGE, "type": "topic", "internal": False, "arguments": {}} | durable,
            {"name": DEAD_EXCHANGE, "type": "fanout", "internal": False, "arguments": {}} | durable,
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
    exchanges = {
        EXCHANGE: Exchange(EXCHANGE, type="topic", durable=True),
        DEAD_EXCHANGE: Exchange(DEAD_EXCHANGE, type="fanout", durable=True),
    }
    try:
        with Connection(settings.rabbitmq_url, connect_timeout=TIMEOUT_S) as connection:
            channel = connection.channel()
            for exchange in exchanges.values():
                exchange(channel).declare()
            for exchange_name, queue, key in bindings():
                Queue(
                    queue, exchanges[exchange_name], routing_key=key, durable=True, queue_arguments=QUORUM
                )(channel).declare()  # fmt: skip
    except (OSError, OperationalError, *Connection().connection_errors, *Connection().channel_errors) as error:
        raise TopologyError(_why(settings, error)) from error
    for name, policy in POLICIES.items():
        _call(settings, "PUT", f"policies/{{vhost}}/{name}", policy)
    return [*exchanges, *queues(), *POLICIES]


def check(settings: Settings) -> list[str]:
    """What differs from what should be, a sentence each; empty when all is right."""
    try:
        wrong = list(_missing_queues(settings))
    except TopologyError as error:
        return [str(error)]
    if wrong:
        return wrong
    try:
        found = {one["name"]: one for one in _call(settings, "GET", "policies/{vhost}")}
        listed = _call(settings, "GET", "bindings/{vhost}")
    except TopologyError as error:
        return [str(error)]
    bound = {(one["source"], one["destination"], one["routing_key"]) for one in listed}
    for name, policy in POLICIES.items():
        if name not in found:
            wrong.append(f"RabbitMQ has no policy {name}; make it with `headrace queues init`")
        elif found[name]["definition"] != policy["definition"] or found[name]["pattern"] != policy["pattern"]:
            wrong.append(f"RabbitMQ's policy {name} is {found[name]['definition']}; `headrace queues init` mends it")
    wrong += [
        f"queue {queue} is not bound to {exchange} by {key!r}; `headrace queues init` mends it"
        for exchange, queue, key in bindings()
        if (exchange, queue, key) not in bound
    ]
    return wrong


def _missing_queues(settings: Settings) -> Iterator[str]:
    connection = Connection(settings.rabbitmq_url, connect_timeout=TIMEOUT_S)
    try:
        connection.connect()
        for name in queues():
            try:
                Queue(name, channel=connection.channel()).queue_declare(passive=True)
            except connection.channel_errors:
                yield f"queue {name} is missing; make it with `headrace queues init`"
    except (OSError, OperationalError, *connection.connection_errors, *connection.channel_errors) as error:
        raise TopologyError(_why(settings, error)) from error
    finally:
        connection.collect()


def _why(settings: Settings, error: BaseException) -> str:
    where = masked(settings.rabbitmq_url)
    text = str(error)
    if "ACCESS_REFUSED" in text or "403" in text:
        return f"RabbitMQ at {where} refuses the user or password; is HEADRACE_RABBITMQ_URL right?"
    if "PRECONDITION_FAILED" in text:
        return f"RabbitMQ at {where} has a queue or exchange of another shape: {text}; delete it and run this again"
    return f"RabbitMQ does not answer at {where} ({text or type(error).__name__}); is HEADRACE_RABBITMQ_URL right?"


def _call(settings: Settings, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """One call of the management API; raises TopologyError."""
    api = urlsplit(settings.rabbitmq_management)
    amqp = urlsplit(settings.rabbitmq_url)
    vhost = quote(unquote(amqp.path[1:]) or "/", safe="")
    url = f"{api.scheme}://{api.hostname}:{api.port}/api/{path.format(vhost=vhost)}"
    user = unquote(api.username or amqp.username or "guest"), unquote(api.password or amqp.password or "guest")
    try:
        answer = httpx2.request(method, url, json=body, auth=user, timeout=TIMEOUT_S)
        answer.raise_for_status()
    except httpx2.HTTPError as error:
        raise TopologyError(
            f"RabbitMQ's management API at {url} does not do what policies need ({error}); "
            "enable rabbitmq_management and set HEADRACE_RABBITMQ_API"
        ) from error
    return answer.json() if answer.content else None
