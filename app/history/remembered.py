"""What the engine remembers of a service, as plain named values.

Called by `headrace state`. The state itself is packed without names, to be small; here each value
gets its name back. It shows what was written last, at most a checkpoint ago.
"""

from fnmatch import fnmatchcase
from typing import Any

import msgspec

from app.policy.fold import meant_for, paused
from app.policy.state import State


def service_in(state: State, service: str) -> dict[str, Any]:
    """Everything that bears on a service: its memory, its policies, its pauses, and as of when.

    A service that nothing was heard of has an empty memory.
    """
    memory = state.services.get(service)
    return {
        "service": service,
        "partition": state.partition,
        "now_ms": state.now_ms,
        "next_offset": state.next_offset,
        "fingerprint": state.fingerprint,
        "policies": [policy.metadata.name for policy in meant_for(state, service).scales],
        "paused": [named(pause) for pause in paused(state, service)],
        "memory": None if memory is None else named(memory),
    }


def like(state: State, pattern: str) -> list[str]:
    """Services of this partition that a state remembers and a glob matches."""
    return sorted(name for name in state.services if fnmatchcase(name, pattern))


def named(value: Any) -> Any:
    """The same value with structs as objects with field names."""
    if isinstance(value, msgspec.Struct):
        return {name: named(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, dict):
        return {str(key): named(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [named(one) for one in value]
    return value
