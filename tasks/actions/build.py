"""Build: run the build command for a commit, in a directory named by the action id."""

from typing import Protocol

from tasks.action import Done
from tasks.contract import Build
from tasks.lease import Lease


class Builder(Protocol):
    """Who builds."""

    def build(self, action: Build) -> str:
        """Build unless it was built already; what to tell. Raises the errors of `tasks.errors`."""


def build(action: Build, lease: Lease, builder: Builder) -> Done:
    """Build a commit once."""
    lease.check()
    return Done(detail=builder.build(action))
