"""Build: run the build command for a commit, in a directory named by the action id."""

from typing import Protocol

from tasks.action import Done
from tasks.contract import Build
from tasks.lease import Lease


class Builder(Protocol):
    """Who builds. Both raise the errors of `tasks.errors`."""

    def build(self, action: Build) -> str:
        """Build unless it was built already; what to tell."""

    def built(self, action: Build) -> str | None:
        """What to tell of a build that was run before; None if it never ended."""


def build(action: Build, lease: Lease, builder: Builder) -> Done:
    """Build a commit once."""
    lease.begin()
    return Done(detail=builder.build(action))


def built(action: Build, builder: Builder) -> Done | None:
    """What a worker that died has done of a build; None if it never ended."""
    told = builder.built(action)
    return None if told is None else Done(detail=told)
