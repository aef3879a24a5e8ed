"""The whole retry manual. Anything else that an action raises is a bug: three tries, then dead."""


class TemporaryError(Exception):
    """The target cannot be reached or is busy; try again, not before `delay_s` seconds."""

    def __init__(self, reason: str, delay_s: float = 1.0) -> None:
        super().__init__(reason)
        self.delay_s = delay_s


class PermanentError(Exception):
    """The target refuses for good; the text says why."""


class ConflictError(Exception):
    """A newer action on the same target was applied before."""


class LostError(Exception):
    """Another worker has taken the action over: whatever this one does must not count."""


class RejectedError(Exception):
    """The message goes to the dead letters: it cannot be read, or an other one had its id before it."""
