"""What the three servers have in common: start and wait, stop, and the faults that tests inject.

Kafka, RabbitMQ and Redis derive from `Server`; containers too. Called by `app.local.servers`
and by fault tests. Nothing here knows a protocol.
"""

import signal
from abc import ABC, abstractmethod
from pathlib import Path
from time import monotonic, sleep
from typing import ClassVar, Final

from app.local.ports import kept
from app.local.process import POLL_S, Process, ServerUnavailable, last_words

START_S: Final = 120.0
"""Longest wait for a server to serve. Seconds on an idle machine, far more on a busy one."""


class Server(ABC):
    """One private server. Restarted after `stop` or `kill`, it has the same address and data."""

    title: ClassVar[str]
    """Its name for people."""
    name: ClassVar[str]
    """Its name as a folder and in settings."""
    port_names: ClassVar[tuple[str, ...]]
    """What it listens for, a port each."""

    def __init__(self, directory: Path, *, attached: bool = True) -> None:
        """Keep everything in `directory`; an attached server never outlives this process."""
        self.directory = directory / self.name
        self.attached = attached
        self.ports: dict[str, int] = {}
        self._log_from = 0

    @property
    @abstractmethod
    def url(self) -> str:
        """Its address, as the settings want it."""

    @property
    def env(self) -> dict[str, str]:
        """The environment that leads a process of Headrace to it."""
        return {f"HEADRACE_{self.name.upper()}_URL": self.url}

    @property
    @abstractmethod
    def running(self) -> bool:
        """Whether the server's process is there, serving or frozen."""

    @property
    def log(self) -> Path:
        """Where it writes what happens to it."""
        return self.directory / "log"

    def start(self) -> None:
        """Start it, unless it runs, and wait until it serves; raises ServerUnavailable."""
        if not self.running:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._log_from = self.log.stat().st_size if self.log.exists() else 0
            self._start()
        deadline = monotonic() + START_S
        while not self._serves():
            if not self.running:
                raise ServerUnavailable(f"{self.title} ended while starting: {self._last_words()}; see {self.log}")
            if monotonic() > deadline:
                words = self._last_words()
                self.kill()
                raise ServerUnavailable(
                    f"{self.title} does not serve after {START_S:.0f} s (last: {words}); "
                    f"is the machine very busy? See {self.log}"
                )
            sleep(POLL_S)

    @abstractmethod
    def stop(self) -> None:
        """End it cleanly; its data stay."""

    @abstractmethod
    def kill(self) -> None:
        """End it as a crash does; its data stay as they are on the disk."""

    @abstractmethod
    def freeze(self) -> None:
        """Let it hang: connections stay open and nothing answers."""

    @abstractmethod
    def thaw(self) -> None:
        """End a freeze."""

    @abstractmethod
    def _start(self) -> None: ...

    @abstractmethod
    def _serves(self) -> bool: ...

    def _keep_ports(self) -> None:
        """Take the ports of last time, or new ones; derived classes call it when they know what runs."""
        self.ports = kept(self.directory / "ports.json", self.port_names, in_use=self.running)

    def _last_words(self) -> str:
        return last_words(self.log, since=self._log_from)


class Program(Server):
    """A server that is a program installed on this machine."""

    @staticmethod
    @abstractmethod
    def missing() -> list[str]:
        """Programs that are needed and not installed here."""

    def __init__(self, directory: Path, *, attached: bool = True) -> None:
        """As `Server`; finds the process again if one was left running in `directory`."""
        super().__init__(directory, attached=attached)
        self._process = Process.saved(self._pid_file)
        self._keep_ports()

    @property
    def _pid_file(self) -> Path:
        return self.directory / "process.json"

    @property
    def running(self) -> bool:
        """Whether the server's process is there, serving or frozen."""
        return self._process is not None and self._process.alive

    @property
    def pid(self) -> int:
        """Number of the server's process, 0 if it does not run."""
        return self._process.pid if self._process is not None and self._process.alive else 0

    def stop(self) -> None:
        """End it cleanly; its data stay."""
        if self._process is not None:
            self._process.stop()
        self._pid_file.unlink(missing_ok=True)

    def kill(self) -> None:
        """End it as a crash does; its data stay as they are on the disk."""
        if self._process is not None:
            self._process.kill()
        self._pid_file.unlink(missing_ok=True)

    def freeze(self) -> None:
        """Let it hang: connections stay open and nothing answers."""
        if self._process is not None:
            self._process.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """End a freeze."""
        if self._process is not None:
            self._process.signal(signal.SIGCONT)

    def _start(self) -> None:
        self._prepare()
        self._process = Process.start(self._command(), self.log, attached=self.attached)
        self._process.save(self._pid_file)

    @abstractmethod
    def _prepare(self) -> None:
        """Write its configuration, and format its data the first time."""

    @abstractmethod
    def _command(self) -> list[str]: ...
