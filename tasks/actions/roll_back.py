"""RollBack: have a service run a version again, through its driver."""

from collections.abc import Mapping
from typing import Protocol

from tasks.action import Done
from tasks.actions.drivers import driver_of
from tasks.contract import RollBack, Status
from tasks.errors import PermanentError
from tasks.lease import Lease


class Deployer(Protocol):
    """What a driver can do. Both raise the errors of `tasks.errors`."""

    def roll_back(self, action: RollBack) -> tuple[str, str]:
        """Have the wished version run; the one found and the one that runs now, equal if nothing was to be done.

        Only `from_version` is replaced: if somebody has deployed another one meanwhile that is a ConflictError.
        Called again for one action, it gives the same and does nothing.
        """

    def rolled_back(self, action: RollBack) -> str | None:
        """The version that this very action has had run again, or None if it never did."""


def roll_back(action: RollBack, lease: Lease, deployers: Mapping[str, Deployer]) -> Done:
    """Roll back through the driver that the action names; it refuses an older generation by itself."""
    deployer = driver_of(action, deployers)
    if not action.to_version:
        raise PermanentError("no version is named to go back to")
    lease.begin()
    found, now = deployer.roll_back(action)
    if found == now:
        return Done(Status.SKIPPED, f"version {now} runs already")
    return Done(Status.DONE, f"version {found or 'unknown'} → {now}")


def rolled_back(action: RollBack, deployers: Mapping[str, Deployer]) -> Done | None:
    """What a worker that died has done of a rollback; None if nothing."""
    version = driver_of(action, deployers).rolled_back(action)
    return None if version is None else Done(detail=f"version {version}, set by a worker that died then")
