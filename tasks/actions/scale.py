"""Scale: set the wanted replicas of a service through its driver."""

from collections.abc import Mapping
from typing import Protocol

from tasks.action import Done
from tasks.contract import Scale, Status
from tasks.errors import PermanentError
from tasks.lease import Lease


class Fleet(Protocol):
    """What a driver can do."""

    def scale(self, action: Scale) -> tuple[int, int]:
        """Set the replicas; those found before and those set. Raises the errors of `tasks.errors`."""


def scale(action: Scale, lease: Lease, fleets: Mapping[str, Fleet]) -> Done:
    """Scale through the driver that the action names; it refuses an older generation by itself."""
    fleet = fleets.get(action.driver)
    if fleet is None:
        raise PermanentError(f"there is no driver {action.driver!r}; there are {', '.join(sorted(fleets))}")
    lease.check()
    found, now = fleet.scale(action)
    status = Status.SKIPPED if found == now else Status.DONE
    return Done(status, f"{found} → {now} replicas", found=found, set=now)
