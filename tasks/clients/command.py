"""Builds by a command: its own directory named by the action id, a time limit, its output in a log.

The directory is the memory: a build that ended has its exit code in it, so that a repeat finds it
and does not run again. A build outlives a worker that is killed; whoever takes the action over
finds its lock held and waits for that build's end instead of starting a second one beside it.
"""

import fcntl
import hashlib
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import IO, Final

from tasks.contract import Build
from tasks.errors import PermanentError, TemporaryError

TOOK_TOO_LONG: Final = 124
"""Exit code of a build that was ended, as `timeout` has it."""

# the shell notes the end itself, since the worker may be gone by then; the rename makes it all or nothing
_SCRIPT: Final = '(eval "$0"); code=$?; echo "$code" > exit.new && mv exit.new exit; exit "$code"'

_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,100}")


class CommandBuilder:
    """Runs the configured command for each build."""

    def __init__(self, command: str, directory: Path, longest_s: float) -> None:
        self._command = command
        self._directory = directory
        self._longest_s = longest_s

    def build(self, action: Build) -> str:
        """Run the command, or find that it was run; what to tell.

        Raises PermanentError if it failed or took too long, TemporaryError while it runs without its worker.
        """
        if not self._command:
            raise PermanentError("no build command is set; set HEADRACE_BUILD_COMMAND")
        if told := self.built(action):
            return told
        place = self._place(action)
        place.mkdir(parents=True, exist_ok=True)
        with (place / "lock").open("wb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise TemporaryError(f"the build in {place} still runs", delay_s=1.0) from error
            self._run(action, place, lock)
        told = self.built(action)
        if told is None:
            raise TemporaryError(f"the build in {place} was killed")
        return told

    def built(self, action: Build) -> str | None:
        """What to tell of a build that was run before, None if it never ended; PermanentError if it failed."""
        place = self._place(action)
        if not (place / "exit").exists():
            return None
        code = int((place / "exit").read_text())
        if code != 0:
            raise PermanentError(f"the build of {action.repo}@{action.branch} ended with {code}; see {place / 'log'}")
        return f"built {action.repo}@{action.branch} in {place}"

    def _place(self, action: Build) -> Path:
        """The build's directory. An id comes from a message: one that is no plain name is not made a path."""
        if _PLAIN_NAME.fullmatch(action.id):
            return self._directory.absolute() / action.id
        return self._directory.absolute() / hashlib.sha256(action.id.encode()).hexdigest()

    def _run(self, action: Build, place: Path, lock: IO[bytes]) -> None:
        """Run the command to its end; every process of it holds the lock."""
        about = {"HEADRACE_REPO": action.repo, "HEADRACE_BRANCH": action.branch, "HEADRACE_COMMIT": action.commit}
        with (place / "log").open("wb") as log:
            shell = subprocess.Popen(
                ["/bin/sh", "-c", _SCRIPT, self._command],
                cwd=place, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env={**os.environ, **about}, pass_fds=[lock.fileno()], start_new_session=True,
            )  # fmt: skip
            try:
                shell.wait(self._longest_s)
            except subprocess.TimeoutExpired:
                os.killpg(shell.pid, signal.SIGKILL)
                shell.wait()
                (place / "exit").write_text(str(TOOK_TOO_LONG))
