"""Scale: set the wanted replicas of a service through its driver."""

from collections.abc import Mapping
from typing import Protocol

from tasks.action import Done
from tasks.actions.drivers import driver_of
from tasks.contract import Scale, Status
from tasks.lease import Lease


class Fleet(Protocol):
    """What a driver can do. Both raise the errors of `tasks.errors`."""

    def scale(self, action: Scale) -> tuple[int, int]:
        """Set the replicas; those found before and those set, equal if nothing was to be done.

        Called again for one action, it gives the same and does nothing.
        """

    def applied(self, action: Scale) -> int | None:
        """The replicas that this very action has set, or None if it never did."""


def scale(action: Scale, lease: Lease, fleets: Mapping[str, Fleet]) -> Done:
    """Scale through the driver that the action names; it refuses an older generation by itself."""
    fleet = driver_of(action, fleets)
    lease.begin()
    found, now = fleet.scale(action)
    status = Status.SKIPPED if found == now else Status.DONE
    return Done(status, f"{found} → {now} replicas", found=found, set=now)


def scaled(action: Scale, fleets: Mapping[str, Fleet]) -> Done | None:
    """What a worker that died has done of a scaling; None if nothing."""
    replicas = driver_of(action, fleets).applied(action)
    if replicas is None:
        return None
    return Done(detail=f"{replicas} replicas, set by a worker that died then", set=replicas)
