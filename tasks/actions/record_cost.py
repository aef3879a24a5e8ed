"""RecordCost: note in a book what a service costs from a moment on, once."""

from typing import Protocol

from tasks.action import Done
from tasks.contract import RecordCost, Status
from tasks.lease import Lease


class Books(Protocol):
    """What a book can do. Both raise the errors of `tasks.errors`."""

    def record(self, action: RecordCost) -> bool:
        """Book a cost; False if it was booked before."""

    def recorded(self, action: RecordCost) -> bool:
        """Whether a cost was booked."""


def record(action: RecordCost, lease: Lease, books: Books) -> Done:
    """Book a cost; the book knows by the action's id whether it has it."""
    lease.begin()
    books.record(action)
    return Done(Status.DONE, f"{action.replicas} replicas at price {action.price} in book {action.book}")


def recorded(action: RecordCost, books: Books) -> Done | None:
    """What a worker that died has done; None if nothing."""
    return Done(detail=f"was in book {action.book}") if books.recorded(action) else None
