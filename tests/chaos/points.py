"""A stream worker that kills itself at a named point: `python -m tests.chaos.points POINT N`.

At the N-th time that the point is passed the process sends itself SIGKILL, as if the power went
just there. The product knows nothing of it: the method that ends at the point is wrapped from
outside, and everything else is the ordinary `faust -A app worker -l info`.
"""

import functools
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from app import autoscaler
from app.intake import Intake
from app.stream.checkpoint import Checkpoints
from app.stream.topics import JOURNAL
from app.stream.transport import Consumer


class Point(NamedTuple):
    """The method that ends there, and whether a call of it counts."""

    holder: Any
    method: str
    counts: Callable[[tuple[Any, ...], Any], bool]


def _is_a_fact(args: tuple[Any, ...], _result: Any) -> bool:
    """Ticks come by themselves; what the users sent is what matters here."""
    return args[1] == JOURNAL and b'"kind":"tick"' not in args[2]


POINTS = {
    "journal": Point(Intake, "_write", _is_a_fact),
    "decisions": Point(autoscaler, "_send", lambda args, _: bool(args[2])),
    "state": Point(Checkpoints, "_write", lambda *_: True),
    "commit": Point(Consumer, "_commit_tps", lambda _, result: bool(result)),
}


def arm(name: str, times: int) -> None:
    """Have this process killed when a point is passed for the n-th time."""
    point = POINTS[name]
    method = getattr(point.holder, point.method)
    left = times

    @functools.wraps(method)
    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        nonlocal left
        result = await method(*args, **kwargs)
        if point.counts(args, result):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(point.holder, point.method, wrapped)


if __name__ == "__main__":
    from faust.cli.faust import cli

    arm(sys.argv[1], int(sys.argv[2]))
    sys.argv = ["faust", "-A", "app", "worker", "-l", "info"]
    cli()
