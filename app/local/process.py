"""A program that was started here, with everything it started itself, as one process group.

Used by the servers and by the tests. An attached process never outlives this one: the guard
ends it if we are killed. A detached one is found again by what `saved` wrote. Nothing here
knows what the program is.
"""

import atexit
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from time import monotonic, sleep
from typing import IO, Final

from app.local import guard

POLL_S: Final = 0.05


class ServerUnavailable(Exception):  # noqa: N818 - it is said to people, as it is
    """A server cannot be had or does not serve; the text is one sentence that says what to do."""


@cache
def _guard() -> IO[str]:
    """The pipe to the guard, which is started with the first attached process."""
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", guard.__file__], stdin=subprocess.PIPE, text=True, start_new_session=True
    )
    assert child.stdin is not None
    atexit.register(child.stdin.close)
    return child.stdin


def _tell_guard(line: str) -> None:
    pipe = _guard()
    pipe.write(f"{line}\n")
    pipe.flush()


def _identity(pid: int) -> str:
    """When the process with this number began, which tells it from a later one; empty if there is none."""
    if Path("/proc/self/stat").exists():
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return ""
        return "" if fields[0] == "Z" else fields[19]
    shown = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return shown.stdout.strip()


@dataclass(eq=False)
class Process:
    """A running program. `child` is None when another process started it."""

    pid: int
    began: str
    child: subprocess.Popen[bytes] | None = None
    attached: bool = False

    @classmethod
    def start(cls, command: Sequence[str], log: Path, *, attached: bool = True) -> "Process":
        """Start `command` in the folder of `log`, to which its output is appended."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as out:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                cwd=log.parent, start_new_session=True,
            )  # fmt: skip
        if attached:
            _tell_guard(f"+{child.pid}")
        return cls(child.pid, _identity(child.pid), child, attached)

    @classmethod
    def saved(cls, file: Path) -> "Process | None":
        """The process that `save` wrote down, if it still runs."""
        if not file.exists():
            return None
        found = cls(**json.loads(file.read_text()))
        return found if found.alive else None

    def save(self, file: Path) -> None:
        """Write down which process this is, for `saved`, which finds the whole of it or what was there before."""
        whole = file.with_name(f"{file.name}.new")
        whole.write_text(json.dumps({"pid": self.pid, "began": self.began}))
        whole.replace(file)

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        if self.child is not None:
            return self.child.poll() is None
        return bool(self.began) and _identity(self.pid) == self.began

    def signal(self, number: int) -> None:
        """Send a signal to the program and all it started; nothing if it has ended."""
        if self.alive:
            guard.send(self.pid, number)

    def stop(self, grace_s: float = 30.0) -> None:
        """Ask it to end, also when frozen; kill it if it has not within `grace_s` seconds."""
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)
        if not self._ended(grace_s):
            self.kill()
        self._forget()

    def kill(self) -> None:
        """End it at once, as a crash does, and all it started."""
        self.signal(signal.SIGKILL)
        self._ended(10.0)
        self._forget()

    def _ended(self, within_s: float) -> bool:
        deadline = monotonic() + within_s
        while self.alive:
            if monotonic() > deadline:
                return False
            sleep(POLL_S)
        return True

    def _forget(self) -> None:
        if self.attached:
            _tell_guard(f"-{self.pid}")
            self.attached = False


def last_words(log: Path, lines: int = 3, *, since: int = 0) -> str:
    """The last lines of a log, from byte `since` on, for an error's text."""
    if not log.exists():
        return "nothing"
    with log.open("rb") as file:
        file.seek(max(since, log.stat().st_size - 4_000))
        text = file.read().decode(errors="replace")
    return " / ".join(line.strip()[:200] for line in text.splitlines()[-lines:]) or "nothing"


def is_root() -> bool:
    """Whether this process may install programs."""
    return os.geteuid() == 0
