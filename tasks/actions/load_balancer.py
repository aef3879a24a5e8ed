"""UpdateLoadBalancer: have a balancer serve exactly the wished set of servers."""

from typing import Protocol

from tasks.action import Done
from tasks.contract import Status, UpdateLoadBalancer
from tasks.lease import Lease


class Balancers(Protocol):
    """What a balancer can do. Both raise the errors of `tasks.errors`."""

    def update(self, action: UpdateLoadBalancer) -> tuple[int, int, bool]:
        """Have the wished servers serve; how many did before, how many do now, and whether that changed."""

    def applied(self, action: UpdateLoadBalancer) -> int | None:
        """How many servers serve if they are exactly the wished ones, else None."""


def update(action: UpdateLoadBalancer, lease: Lease, balancers: Balancers) -> Done:
    """Bring about the wished set; the ledger has refused an older generation by now."""
    lease.begin()
    found, now, changed = balancers.update(action)
    status = Status.DONE if changed else Status.SKIPPED
    return Done(status, f"{action.backend} is served by {', '.join(action.servers)}", found=found, set=now)


def updated(action: UpdateLoadBalancer, balancers: Balancers) -> Done | None:
    """What a worker that died has done; None if the set is another."""
    now = balancers.applied(action)
    return None if now is None else Done(detail=f"{action.backend} is served as wished", set=now)
