"""What is published: an action as a Celery message, protocol 2, and an enriched event as plain JSON.

An unmodified Celery worker runs the first, anybody reads the second. Built by hand for the router
and the gateway, which would spend ten times as long in Celery's own builder; a test renders the
same message with that builder and compares.
"""

from typing import Any, Final, NamedTuple

import msgspec

from app.policy.decision import Decision
from tasks.contract import Action, Event, encode, event_key, kind_of, routing_key, task_name

ORIGIN: Final = "headrace-router"
_TAIL: Final = b'], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]'


class Outgoing(NamedTuple):
    """One message to publish: where to, with what properties, and its body.

    `kind` is the action's, or `event`. `mandatory`: a queue has to take it.
    """

    id: str
    kind: str
    routing_key: str
    properties: dict[str, Any]
    body: bytes
    mandatory: bool = True


def outgoing(decision: Decision) -> list[Outgoing]:
    """The messages of a decision: its action, unless the policy is on trial, and its event."""
    found = []
    if decision.action is not None and not decision.shadow:
        found.append(of_action(decision.action))
    if decision.event is not None:
        found.append(of_event(decision.event))
    return found


def of_event(event: Event) -> Outgoing:
    """The message of an enriched event; nobody need listen to it."""
    properties = {
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "message_id": event.id,
        "type": event.event,
        "delivery_mode": 2,
    }
    return Outgoing(event.id, "event", event_key(event), properties, encode(event), mandatory=False)


def of_action(action: Action) -> Outgoing:
    """The Celery message of an action: its id is the task's id, its JSON the only argument."""
    kind = kind_of(action)
    headers: dict[str, Any] = {
        "lang": "py", "task": task_name(kind), "id": action.id, "root_id": action.id, "parent_id": None,
        "group": None, "group_index": None, "shadow": None, "eta": None, "expires": None, "retries": 0,
        "timelimit": [None, None], "argsrepr": "", "kwargsrepr": "", "origin": ORIGIN, "ignore_result": True,
        "replaced_task_nesting": 0, "stamped_headers": None, "stamps": {},
    }  # fmt: skip
    if action.trace:
        headers["traceparent"] = action.trace
    properties = {
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "correlation_id": action.id,
        "message_id": action.id,
        "delivery_mode": 2,
        "application_headers": headers,
    }
    body = b"[[" + encode(action) + _TAIL
    return Outgoing(action.id, kind.value, routing_key(kind, action.service), properties, body)


def argument(body: bytes) -> Any:
    """The one argument in a body, for tests and for `headrace` to show."""
    return msgspec.json.decode(body)[0][0]
