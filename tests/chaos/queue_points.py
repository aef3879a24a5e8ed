"""A worker or a router that kills itself at a named point: `python -m tests.chaos.queue_points POINT N`.

At the N-th time that a process passes the point, it is killed with SIGKILL, and so is the worker that it is a child
of. The product knows nothing of it: the method that ends, or begins, at the point is wrapped from outside.
"""

import functools
import os
import signal
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple


class Point(NamedTuple):
    """The method, whether its call counts, and whether the point is before it."""

    holder: Any
    method: str
    counts: Callable[[Any], bool] = lambda _: True
    before: bool = False


def points() -> dict[str, Point]:
    """The points of a worker, in the order in which an action passes them."""
    from celery.worker.request import Request

    from tasks.clients.simulated import SimulatedFleet
    from tasks.ledger import Answer, Ledger
    from tasks.outcomes import Outcomes

    return {
        "lease": Point(Ledger, "claim", lambda claim: claim.answer is Answer.GO),
        "effect": Point(SimulatedFleet, "scale"),
        "mark": Point(Ledger, "finish"),
        "outcome": Point(Outcomes, "write"),
        "ack": Point(Request, "acknowledge", before=True),
    }


WORKER = ("lease", "effect", "mark", "outcome", "ack")


def _die() -> None:
    if b"tests.chaos.queue_points" in _command(os.getppid()):  # we are a child of the worker
        os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def _command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def arm(point: Point, times: int) -> None:
    """Have a process killed when it passes a point for the n-th time."""
    method = getattr(point.holder, point.method)
    left = times

    @functools.wraps(method)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        nonlocal left
        result = None if point.before else method(*args, **kwargs)
        if point.before or point.counts(result):
            left -= 1
            if left == 0:
                _die()
        return method(*args, **kwargs) if point.before else result

    setattr(point.holder, point.method, wrapped)


def arm_router(times: int) -> None:
    """Have the router killed when RabbitMQ has confirmed for the n-th time, before anything of that is committed."""
    from app.queue.publisher import Publisher

    offer, left = Publisher.offer, times

    async def wrapped(self: Publisher, messages: Any) -> Any:
        nonlocal left
        rest = await offer(self, messages)
        left -= bool(messages)
        if left == 0:
            _die()
        return rest

    Publisher.offer = wrapped  # type: ignore[method-assign]


if __name__ == "__main__":
    if sys.argv[1] == "confirmed":
        from faust.cli.faust import cli

        arm_router(int(sys.argv[2]))
        sys.argv = ["faust", "-A", "app.router", "worker", "-l", "info"]
        cli()
    else:
        from celery.__main__ import main

        arm(points()[sys.argv[1]], int(sys.argv[2]))
        sys.argv = ["celery", "-A", "tasks", "worker", "-l", "info", "-c", "2", "-n", f"{uuid.uuid4().hex}@%h"]
        main()
