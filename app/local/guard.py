"""Ends the programs of a process that died without ending them itself, even by SIGKILL.

`app.local.process` runs this file as a program of its own and writes `+pid` and `-pid` lines to
it. When that pipe closes, the writer is gone, whatever the cause, and what is still on the list
is ended: asked first, killed after `GRACE_S`. It imports nothing but the standard library and
never touches a process that it was not told of.
"""

import os
import signal
import sys
import time
from collections.abc import Iterable

GRACE_S = 10.0
"""Seconds between the polite signal and SIGKILL."""


def listed(lines: Iterable[str]) -> set[int]:
    """The process groups that were named and not taken back, once `lines` has ended."""
    groups: set[int] = set()
    for line in lines:
        change = groups.add if line.startswith("+") else groups.discard
        change(int(line[1:]))
    return groups


def send(group: int, number: int) -> bool:
    """Signal a process group; False if it is gone."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def end(groups: set[int]) -> None:
    """Ask each group to end, also one that is frozen, and kill what has not after `GRACE_S`."""
    for group in groups:
        send(group, signal.SIGTERM)
        send(group, signal.SIGCONT)
    deadline = time.monotonic() + GRACE_S
    while groups and time.monotonic() < deadline:
        time.sleep(0.1)
        groups = {group for group in groups if send(group, 0)}
    for group in groups:
        send(group, signal.SIGKILL)


if __name__ == "__main__":
    end(listed(sys.stdin))
