"""A breaker for each target: one that has failed a few times in a row is left alone for a while.

Called by `tasks.action` around each try, so that a target that hangs costs a worker a few tries and
not one for each message that waits for it. Each worker process learns by itself.
"""

from collections.abc import Callable
from typing import Final, TypeVar

from pybreaker import CircuitBreaker, CircuitBreakerError

from tasks.contract import (
    Action,
    Annotate,
    Build,
    CallWebhook,
    Notify,
    RecordCost,
    RollBack,
    Scale,
    UpdateLoadBalancer,
)
from tasks.errors import TemporaryError

FAILURES: Final = 3
"""Temporary errors in a row after which a target is left alone."""
REST_S: Final = 10.0
"""Seconds for which it is; then one try shows whether it is back."""

T = TypeVar("T")


class Breakers:
    """The breakers of this process, by target."""

    def __init__(self) -> None:
        self._known: dict[str, CircuitBreaker] = {}

    def call(self, action: Action, function: Callable[[], T]) -> T:
        """Call, unless the action's target is left alone: that is a TemporaryError too."""
        target = target_of(action)
        if not target:
            return function()
        try:
            result: T = self._of(target).call(function)
        except CircuitBreakerError:
            raise TemporaryError(f"{target} has failed {FAILURES} times in a row and is left alone", REST_S) from None
        return result

    def _of(self, target: str) -> CircuitBreaker:
        if target not in self._known:
            self._known[target] = CircuitBreaker(
                fail_max=FAILURES,
                reset_timeout=REST_S,
                exclude=[lambda error: not isinstance(error, TemporaryError)],
                throw_new_error_on_trip=False,
            )
        return self._known[target]


def target_of(action: Action) -> str:  # noqa: PLR0911 - a line a kind
    """What an action needs to be there, in words; empty for a build, which needs nothing but its worker."""
    match action:
        case Scale(driver="command"):
            return f"command {action.target or action.service}"
        case Scale() | RollBack():
            return f"driver {action.driver}"
        case Notify():
            return f"receiver {action.receiver}"
        case UpdateLoadBalancer():
            return f"balancer {action.balancer}"
        case Annotate():
            return f"dashboard {action.dashboard}"
        case RecordCost():
            return f"book {action.book}"
        case CallWebhook():
            return f"webhook {action.webhook}"
        case Build():
            return ""
