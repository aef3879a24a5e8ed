"""What a message asks for: its action, checked, and what that claims in the ledger.

Called by `tasks.main` and `tasks.action`. Nothing here waits, writes or reaches the network.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import msgspec

from tasks.contract import SCHEMA, Action, RollBack, Scale, UpdateLoadBalancer
from tasks.errors import RejectedError
from tasks.ledger import Entry

LONGEST: Final = 255
"""Characters of an id or a service; longer ones are nobody's."""

LARGEST: Final = 2**53
"""Above this, a whole number is not exact in Redis' scripts: one such generation would refuse all that follow."""

SERVERS: Final = 1000
"""Most servers of a load balancer's backend."""

_ENVELOPE: Final = frozenset({"id", "decided_at_ms", "expires_at_ms", "trace", "schema"})


def decoded(argument: object) -> Action:
    """The action in a task's argument; raises RejectedError that says what is wrong."""
    try:
        action: Action = msgspec.convert(argument, Action)
    except msgspec.ValidationError as error:
        raise RejectedError(str(error)) from None
    if action.schema > SCHEMA:
        raise RejectedError(f"schema {action.schema} is newer than this worker's {SCHEMA}: update the worker")
    for name in ("id", "service"):
        if not 0 < len(getattr(action, name)) <= LONGEST:
            raise RejectedError(f"`{name}` has {len(getattr(action, name))} characters; it may have 1 to {LONGEST}")
    for name in ("from_replicas", "to_replicas", "replicas", "generation", "at_ms"):
        number = getattr(action, name, 0)
        if not 0 <= number < LARGEST:
            raise RejectedError(f"`{name}` is {number}; it may be 0 to {LARGEST - 1}")
    if isinstance(action, UpdateLoadBalancer) and not 0 < len(action.servers) <= SERVERS:
        raise RejectedError(f"`servers` has {len(action.servers)} entries; it may have 1 to {SERVERS}")
    return action


def beyond(argument: object, action: Action) -> dict[str, Any]:
    """The fields in a task's argument that only a newer version knows, without those that are empty.

    They are a part of what is asked for, so that workers of two versions say the same of one message.
    """
    if not isinstance(argument, dict):
        return {}
    known = _known(type(action))
    return {name: value for name, value in argument.items() if name not in known and value}


def entry_of(action: Action, more: Mapping[str, Any] | None = None) -> Entry:
    """What an action claims in the ledger: its id, and where an older one must not follow its target and generation.

    `more` is what its message says `beyond` what is known here.
    """
    payload = _payload(action, more or {})
    if isinstance(action, Scale | RollBack):  # of one target, so that they are in each other's order
        target = f"{action.driver}:{action.target or action.service}"
        return Entry(action.id, payload, action.expires_at_ms, target, action.generation)
    if isinstance(action, UpdateLoadBalancer):
        target = f"balancer:{action.balancer}/{action.backend}"
        return Entry(action.id, payload, action.expires_at_ms, target, action.generation)
    return Entry(action.id, payload, action.expires_at_ms)


def _payload(action: Action, more: Mapping[str, Any]) -> str:
    """Hash of what is asked for. The moment it was asked at is no part of it: a plain job has none that lasts.

    Nor is a field at its default, so that workers of two versions say the same of one message.
    """
    asked: dict[str, Any] = {"kind": action.__struct_config__.tag, **more}
    for name, default in _asked(type(action)):
        value = getattr(action, name)
        if value != default:
            asked[name] = msgspec.to_builtins(value)
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]


@cache
def _known(kind: type[Action]) -> frozenset[str]:
    """Names that a message of a kind of action may have here."""
    return frozenset({"kind", *(field.encode_name for field in msgspec.structs.fields(kind))})


@cache
def _asked(kind: type[Action]) -> list[tuple[str, object]]:
    """The fields of a kind of action that say what is asked for, each with its default."""
    return [
        (field.name, field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory())
        for field in msgspec.structs.fields(kind)
        if field.name not in _ENVELOPE
    ]
