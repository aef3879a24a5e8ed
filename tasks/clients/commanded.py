"""Scaling by a command of the targets file: a service goes by a name there, and nothing else is ever run.

No shell: the file has the program and its arguments, in which `{replicas}` and the like are put in. The
wished count is absolute, so a repeat of a command that was cut off brings about the same. A command dies with
its worker, so that none goes on beside its successor; what it has started itself may.
"""

import ctypes
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from typing import IO, Final

from tasks.clients.targets import Command, Targets
from tasks.contract import Scale
from tasks.errors import PermanentError, TemporaryError

COME_AGAIN: Final = 75
"""Exit code that asks to be tried again, as sysexits' EX_TEMPFAIL."""
WORDS: Final = 300
"""Most characters of what a command said last that are told."""

WISHES: Final = ("replicas", "from", "service", "generation", "id")
"""What a command is told: in its arguments as `{replicas}`, in its environment as `HEADRACE_REPLICAS`, and so on."""

_PR_SET_PDEATHSIG: Final = 1


class Commanded:
    """Scales by the commands of the targets file."""

    def __init__(self, targets: Targets) -> None:
        self._targets = targets

    def scale(self, action: Scale) -> tuple[int, int]:
        """Have a service's command set the replicas; found and set. Without a count, found is what was believed."""
        command = self._targets.command(action.target or action.service)
        found = action.from_replicas if not command.count else _count(action, command)
        if command.count and found == action.to_replicas:
            return found, found
        _run(action, command.scale, command.limit_s)
        return found, action.to_replicas

    def applied(self, action: Scale) -> int | None:
        """The wished replicas if the service has them now, None if not or if nothing counts them."""
        command = self._targets.command(action.target or action.service)
        wished = command.count and _count(action, command) == action.to_replicas
        return action.to_replicas if wished else None


def _count(action: Scale, command: Command) -> int:
    said = _run(action, command.count, command.limit_s).split()
    if len(said) != 1 or not said[0].isdecimal():
        raise PermanentError(f"the command that counts {action.service} says no number")
    return int(said[0])


def _run(action: Scale, arguments: list[str], limit_s: float) -> str:
    """What a command said, on both of its outputs; TemporaryError if it takes too long or asks for it."""
    about = _about(action)
    line = [_filled(one, about) for one in arguments]
    name = os.path.basename(line[0])  # noqa: PTH119 - of a command, which need not be a path
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                line, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
                env=_environment(about), preexec_fn=_die_with_worker,  # noqa: PLW1509 - it calls the kernel alone
            )  # fmt: skip
        except (OSError, ValueError) as error:
            raise PermanentError(f"{name} cannot be run: {getattr(error, 'strerror', None) or error}") from error
        try:
            code = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise TemporaryError(f"{name} took longer than {limit_s:g} s and was ended") from None
        finally:
            _end(process)
        said = _said(output)
    if code == COME_AGAIN:
        raise TemporaryError(f"{name} asks to be tried again: {said[-WORDS:]}", delay_s=2.0)
    if code != 0:
        raise PermanentError(f"{name} ended with {code}: {said[-WORDS:]}")
    return said


def _end(process: subprocess.Popen[bytes]) -> None:
    """End what is left of a command, also what it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _said(output: IO[bytes]) -> str:
    """The end of what was said, however long that was."""
    output.seek(max(0, output.seek(0, os.SEEK_END) - 10_000))
    return output.read().decode(errors="replace").strip()


def _about(action: Scale) -> dict[str, str]:
    told = (action.to_replicas, action.from_replicas, action.service, action.generation, action.id)
    return dict(zip(WISHES, map(str, told), strict=True))


def _filled(argument: str, about: Mapping[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: about.get(found[1], found[0]), argument)


def _environment(about: Mapping[str, str]) -> dict[str, str]:
    """The worker's, without its settings, which have passwords, and with what is wished."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    return kept | {f"HEADRACE_{name.upper()}": value for name, value in about.items()}


def _die_with_worker() -> None:
    """Between fork and exec: have the kernel end this process when its parent ends, where it can."""
    if sys.platform == "linux":
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


_libc: Final = ctypes.CDLL(None)
"""Loaded before any fork: nothing may be loaded after it."""
