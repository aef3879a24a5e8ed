"""An action as a Celery message, protocol 2, so that an unmodified Celery worker runs it.

Built by hand for the router, which would spend ten times as long in Celery's own builder; a test
renders the same message with that builder and compares.
"""

from typing import Any, Final, NamedTuple

import msgspec

from app.policy.decision import Decision
from tasks.contract import Action, Kind, encode, kind_of, routing_key, task_name

ORIGIN: Final = "headrace-router"
_TAIL: Final = b'], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]'


class Outgoing(NamedTuple):
    """One message to publish: where to, with what properties, and its body."""

    id: str
    kind: Kind
    routing_key: str
    properties: dict[str, Any]
    body: bytes


def outgoing(decision: Decision) -> Outgoing:
    """The message of a decision that has an action."""
    assert decision.action is not None, f"decision {decision.id} has no action"
    return of_action(decision.action)


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
    return Outgoing(action.id, kind, routing_key(kind, action.service), properties, body)


def argument(body: bytes) -> Any:
    """The one argument in a body, for tests and for `headrace` to show."""
    return msgspec.json.decode(body)[0][0]
