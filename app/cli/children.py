"""Child processes of `headrace up`: started, their lines passed on, started again, ended.

Each child leads a process group of its own, so that Ctrl-C reaches us alone and each child is
asked to end exactly once. It never looks at what the children do. A child that dies is started
again after a pause that grows while it keeps dying. If we are killed, the guard ends them.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from time import monotonic
from typing import IO, Any, Final

from rich.console import Console
from rich.text import Text

from app.local import guard

BACKOFF_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Pauses before a child is started again, the last for ever after."""

STEADY_S: Final = 60.0
"""Seconds of running after which the next death counts as the first."""

GRACE_S: Final = 30.0
"""Seconds between asking a child to end and ending it."""

POLL_S: Final = 0.2

COLOURS: Final = ("cyan", "green", "magenta", "yellow", "blue")

Clock = Callable[[], float]


class Child:
    """One program: its process while it runs, and when it may be started again after it died."""

    def __init__(self, name: str, command: Sequence[str], clock: Clock = monotonic) -> None:
        self.name = name
        self.command = list(command)
        self.process: subprocess.Popen[str] | None = None
        self.deaths = 0
        self.due_s = 0.0
        self._clock = clock
        self._started_s = 0.0

    def start(self) -> IO[str]:
        """Start the program; its output, line by line."""
        self.process = subprocess.Popen(  # noqa: S603 - a command of ours
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=os.environ | _environment(),
            start_new_session=True,
        )
        self._started_s = self._clock()
        assert self.process.stdout is not None
        return self.process.stdout

    @property
    def alive(self) -> bool:
        """Whether its program runs."""
        return self.process is not None and self.process.poll() is None

    def died(self) -> float:
        """Take note that it died; the seconds until it is started again."""
        now = self._clock()
        self.deaths = 1 if now - self._started_s >= STEADY_S else self.deaths + 1
        pause_s = BACKOFF_S[min(self.deaths, len(BACKOFF_S)) - 1]
        self.process, self.due_s = None, now + pause_s
        return pause_s

    def ask_to_end(self) -> None:
        """Ask the program alone: what it started is its own to end, and may be in the middle of an action."""
        if self.process is not None and self.alive:
            self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the program at once, and all that it started."""
        if self.process is not None:
            guard.send(self.process.pid, signal.SIGKILL)
            self.process.wait()


def _environment() -> dict[str, str]:
    """What children are told: to write each line at once, and for people where we write to a terminal.

    A name that lasts as long as this process makes Kafka give a child that is started again its
    partitions back at once, instead of after the session of the dead one.
    """
    told = {"PYTHONUNBUFFERED": "1", "HEADRACE_INSTANCE": os.environ.get("HEADRACE_INSTANCE") or f"up-{os.getpid()}"}
    if sys.stdout.isatty() and "HEADRACE_LOG_JSON" not in os.environ:
        told["HEADRACE_LOG_JSON"] = "false"
    return told


class Children:
    """All the programs of one `headrace up`."""

    def __init__(self, children: Sequence[Child]) -> None:
        self.children = list(children)
        self._asked = 0
        self._wake = threading.Event()
        self._out = Console(highlight=False, soft_wrap=True)
        self._width = max(len(child.name) for child in self.children)
        self._guard: subprocess.Popen[str] | None = None

    def run(self) -> None:
        """Keep them running until SIGINT or SIGTERM, then end them all; a second signal ends them at once."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._signalled)
        self._guard = subprocess.Popen(  # noqa: S603 - a program of ours
            [sys.executable, "-I", "-S", guard.__file__], stdin=subprocess.PIPE, text=True, start_new_session=True
        )
        try:
            while not self._asked:
                self._look()
                self._wake.wait(POLL_S)
        finally:
            self._end()
            self._guard.communicate()

    def _signalled(self, *_: Any) -> None:
        self._asked += 1
        self._wake.set()

    def _look(self) -> None:
        """Start what is due; say of what died that it did."""
        for child in self.children:
            if child.process is None:
                if monotonic() >= child.due_s:
                    self._start(child)
            elif not child.alive:
                code, pid = child.process.returncode, child.process.pid
                guard.send(pid, signal.SIGKILL)  # what it left behind
                self._tell_guard(f"-{pid}")
                pause_s = child.died()
                how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
                self._say(child, f"ended ({how}); started again in {pause_s:g} s")

    def _start(self, child: Child) -> None:
        lines = child.start()
        assert child.process is not None
        self._tell_guard(f"+{child.process.pid}")
        self._say(child, f"started, process {child.process.pid}")
        threading.Thread(target=self._pass_on, args=(child, lines), daemon=True).start()

    def _pass_on(self, child: Child, lines: IO[str]) -> None:
        for line in lines:
            self._say(child, line.rstrip("\n"))

    def _say(self, child: Child, line: str) -> None:
        colour = COLOURS[self.children.index(child) % len(COLOURS)]
        self._out.print(Text(f"{child.name:<{self._width}} │ ", colour) + Text.from_ansi(line))

    def _tell_guard(self, line: str) -> None:
        assert self._guard is not None
        assert self._guard.stdin is not None
        self._guard.stdin.write(f"{line}\n")
        self._guard.stdin.flush()

    def _end(self) -> None:
        """Ask all to end, wait, and end what has not; another signal while waiting makes it at once."""
        for child in self.children:
            child.ask_to_end()
        deadline, asked = monotonic() + GRACE_S, self._asked
        while any(child.alive for child in self.children) and monotonic() < deadline and self._asked == asked:
            self._wake.clear()
            self._wake.wait(POLL_S)
        for child in self.children:
            process = child.process
            child.kill()
            if process is not None:
                self._tell_guard(f"-{process.pid}")
