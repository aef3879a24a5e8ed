"""Builds by a command: its own directory named by the action id, a time limit, its output in a log.

The directory is the memory: a build that ended has its exit code in it, so that a repeat finds it
and does not run again.
"""

import os
import subprocess
from pathlib import Path

from tasks.contract import Build
from tasks.errors import PermanentError


class CommandBuilder:
    """Runs the configured command for each build."""

    def __init__(self, command: str, directory: Path, longest_s: float) -> None:
        self._command = command
        self._directory = directory
        self._longest_s = longest_s

    def build(self, action: Build) -> str:
        """Run the command, or find that it was run; PermanentError if it failed or took too long."""
        if not self._command:
            raise PermanentError("no build command is set; set HEADRACE_BUILD_COMMAND")
        place = self._directory / action.id.replace("/", "_")
        place.mkdir(parents=True, exist_ok=True)
        ended = place / "exit"
        if not ended.exists():
            ended.write_text(str(self._run(action, place)))
        code = int(ended.read_text())
        if code != 0:
            raise PermanentError(f"the build of {action.repo}@{action.branch} ended with {code}; see {place / 'log'}")
        return f"built {action.repo}@{action.branch} in {place}"

    def _run(self, action: Build, place: Path) -> int:
        """Exit code of the command; 124, as `timeout` has it, when it took too long."""
        about = {"HEADRACE_REPO": action.repo, "HEADRACE_BRANCH": action.branch, "HEADRACE_COMMIT": action.commit}
        with (place / "log").open("wb") as log:
            try:
                return subprocess.run(
                    ["/bin/sh", "-c", self._command],
                    cwd=place, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **about},
                    timeout=self._longest_s, check=False,
                ).returncode  # fmt: skip
            except subprocess.TimeoutExpired:
                return 124
