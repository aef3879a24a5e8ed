"""How a stream process ends that must not go on: at once, with a sentence, before anything is acknowledged.

Used by the lanes, the timers and the watchdog of the three apps. A supervisor starts the process
again, and what was in hand is read again.
"""

import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final, NoReturn

import structlog

from app.stream.blocks import Fenced

EXIT_BROKEN: Final = 70
"""Exit code of a process that must not go on (sysexits' EX_SOFTWARE)."""

log = structlog.get_logger()


class Halt(Exception):  # noqa: N818 - the process is halted, on purpose
    """What must not be gone on from: a sentence that says where and what to do, and needs no traceback."""


def broken(sentence: str, exc_info: BaseException | None = None) -> NoReturn:
    """End the process at once: nothing in hand is acknowledged, so nothing is lost."""
    log.error("stopped", why=sentence, exit=EXIT_BROKEN, exc_info=exc_info)
    sys.stderr.flush()
    sys.stdout.flush()
    os._exit(EXIT_BROKEN)


async def guarded(handle: Callable[..., Awaitable[Any]], *args: Any) -> Any:
    """Await `handle`; end the process, without acknowledging anything, if it raises."""
    try:
        return await handle(*args)
    except Fenced:
        raise
    except Halt as why:
        broken(str(why))
    except Exception as error:  # noqa: BLE001 - whatever it is, going on would skip an event
        broken(f"{type(error).__name__}: {error}", exc_info=error)
