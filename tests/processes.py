"""Programs of the product as tests run them, and waiting for what they do."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic, sleep

from app.local.process import Process, last_words


class Running:
    """One started program; `text` is what it wrote so far."""

    def __init__(self, process: Process, log: Path) -> None:
        self.process = process
        self.log = log

    @property
    def alive(self) -> bool:
        return self.process.alive

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def code(self) -> int | None:
        """How it ended, negative for a signal; None while it runs."""
        return self.process.child.poll()

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def signal(self, number: int) -> None:
        self.process.signal(number)

    def stop(self, grace_s: float = 30.0) -> None:
        self.process.stop(grace_s)

    def kill(self) -> None:
        self.process.kill()


class Processes:
    """Starts programs of this project's environment, each with a log file, and ends them all."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.started: list[Running] = []

    def start(self, command: Sequence[str], env: Mapping[str, str]) -> Running:
        """Start a command such as `["celery", "-A", "tasks", "worker"]` with `env` on top of ours."""
        script = Path(sys.executable).parent / command[0]
        program = str(script) if script.exists() else command[0]
        log = self.directory / f"{len(self.started)}-{Path(command[0]).name}.log"
        settings = [f"{name}={value}" for name, value in env.items()]
        running = Running(Process.start(["env", *settings, program, *command[1:]], log), log)
        self.started.append(running)
        return running

    def end(self) -> None:
        for running in self.started:
            running.kill()


def wait_for(condition: Callable[[], object], timeout: float = 60.0, what: str = "") -> object:
    """The first true value of `condition`; fails after `timeout` seconds."""
    deadline = monotonic() + timeout
    while not (value := condition()):
        if monotonic() > deadline:
            raise AssertionError(f"not within {timeout:.0f} s: {what or condition}")
        sleep(0.05)
    return value


def last_lines(running: Running, lines: int = 10) -> str:
    """The end of a program's log, for an assertion's message."""
    return last_words(running.log, lines)
