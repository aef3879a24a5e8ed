"""Whether a service is active: what puts it to 0 replicas and wakes it again, in KEDA's sense. Pure.

Called by `app.policy.look`. It outranks the wishes: below every activation nothing needs to run.
"""

from collections.abc import Sequence
from typing import NamedTuple


class Gate(NamedTuple):
    """A metric's activation, and the metric (None: unknown)."""

    activation: float
    seen: float | None


def is_active(gates: Sequence[Gate]) -> bool | None:
    """Whether any metric is above its activation; None if that is unknown."""
    if any(one.seen is not None and one.seen > one.activation for one in gates):
        return True
    return None if any(one.seen is None for one in gates) else False


def gated(wanted: int, current: int, *, active: bool | None) -> int:
    """The wish of a service that is active (at least 1), that is not (0), or of which it is unknown (no waking)."""
    if active:
        return max(1, wanted)
    return 0 if active is False or current == 0 else wanted
