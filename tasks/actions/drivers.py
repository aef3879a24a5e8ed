"""The driver that a scaling or a rollback names: what reaches the services themselves."""

from collections.abc import Mapping
from typing import TypeVar

from tasks.contract import RollBack, Scale
from tasks.errors import PermanentError

T = TypeVar("T")


def driver_of(action: Scale | RollBack, drivers: Mapping[str, T]) -> T:
    """The driver of an action; PermanentError, with those that there are, if it is not known."""
    driver = drivers.get(action.driver)
    if driver is None:
        raise PermanentError(f"there is no driver {action.driver!r}; there are {', '.join(sorted(drivers))}")
    return driver
