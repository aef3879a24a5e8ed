"""Workers for which some services are poison: `celery -A tests.poisoned worker`.

By the service that a scaling is for: `exit` ends the process, `kill` has it killed, `hang` never ends, `deaf` never
ends and takes no exception for an end, `memory` takes all there is. The time limits are short.
"""

import os
import resource
import signal
import time
from contextlib import suppress
from typing import Any

from tasks.clients import simulated
from tasks.main import celery_app

celery = app = celery_app
for _task in celery_app.tasks.values():
    _task.soft_time_limit, _task.time_limit = 3, 6

MEMORY = 4_000_000_000
_scale = simulated.SimulatedFleet.scale


def _poison(service: str) -> None:
    if service == "exit":
        os._exit(3)
    if service == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    while service == "deaf":
        with suppress(Exception):
            time.sleep(1)
    while service == "hang":
        time.sleep(1)
    if service == "memory":
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        bytearray(2 * MEMORY)


def _scaled(self: Any, action: Any) -> tuple[int, int]:
    _poison(action.service)
    return _scale(self, action)


simulated.SimulatedFleet.scale = _scaled  # type: ignore[method-assign]
