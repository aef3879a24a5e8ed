"""Notify: tell people through a receiver that is known by name.

Most receivers cannot be asked whether they got a message, so this kind is at least once, as webhooks
are: a worker that dies between telling and noting it has told, and the next one tells again.
That window is a few milliseconds; each time it may have been hit is counted.
"""

from typing import Protocol

from tasks import metrics
from tasks.action import Done
from tasks.contract import Kind, Notify
from tasks.lease import Lease


class Receivers(Protocol):
    """Who can be told."""

    def tell(self, action: Notify) -> None:
        """Deliver a message; raises the errors of `tasks.errors`."""


def notify(action: Notify, lease: Lease, receivers: Receivers) -> Done:
    """Tell a receiver."""
    if lease.claim.started:
        metrics.AMBIGUOUS.labels(Kind.NOTIFY).inc()
    lease.begin()
    receivers.tell(action)
    return Done(detail=f"told {action.receiver}")
