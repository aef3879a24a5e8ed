"""A stream worker that says how long its state took: `python -m tests.chaos.timed`.

From the moment at which the tables begin to be restored to the one at which every state of the
partitions that were assigned is unpacked. Otherwise the ordinary `faust -A app worker -l info`.
"""

import functools
import sys
from time import monotonic
from typing import Any

from faust.tables.recovery import Recovery

from app.stream.checkpoint import Checkpoints

SAID = "its state took "
_began: list[float] = []


def _first(method: Any) -> Any:
    @functools.wraps(method)
    async def wrapped(self: Recovery, *args: Any, **kwargs: Any) -> Any:
        if self.tables:
            _began.append(monotonic())
        return await method(self, *args, **kwargs)

    return wrapped


def _last(method: Any) -> Any:
    @functools.wraps(method)
    async def wrapped(self: Checkpoints, *args: Any, **kwargs: Any) -> Any:
        result = await method(self, *args, **kwargs)
        sys.stderr.write(f"{SAID}{monotonic() - _began[-1]:.3f} s for {len(self.states)} partitions\n")
        return result

    return wrapped


if __name__ == "__main__":
    from faust.cli.faust import cli

    Recovery._build_highwaters = _first(Recovery._build_highwaters)
    Checkpoints._recovered = _last(Checkpoints._recovered)
    sys.argv = ["faust", "-A", "app", "worker", "-l", "info"]
    cli()
