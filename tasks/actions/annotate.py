"""Annotate: mark a moment on a dashboard, once."""

from typing import Protocol

from tasks.action import Done
from tasks.contract import Annotate, Status
from tasks.lease import Lease


class Dashboards(Protocol):
    """What a dashboard can do. Both raise the errors of `tasks.errors`."""

    def annotate(self, action: Annotate, *, again: bool) -> bool:
        """Make the mark, unless it was made; whether it was made now."""

    def annotated(self, action: Annotate) -> bool:
        """Whether the mark is there."""


def annotate(action: Annotate, lease: Lease, dashboards: Dashboards) -> Done:
    """Make the mark; where an earlier try may have made it, the dashboard is asked first."""
    lease.begin()
    made = dashboards.annotate(action, again=lease.claim.token > 1)
    return Done(Status.DONE, f"{'marked' if made else 'was marked'} on {action.dashboard}")


def annotated(action: Annotate, dashboards: Dashboards) -> Done | None:
    """What a worker that died has done; None if there is no mark."""
    return Done(detail=f"was marked on {action.dashboard}") if dashboards.annotated(action) else None
