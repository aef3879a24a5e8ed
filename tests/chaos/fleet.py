"""Stream workers by name, as a supervisor runs them: what ends by itself is started again, and noted."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from tests.processes import Processes, Running, last_lines

ROOT = Path(__file__).parents[2]
FAUST = ("faust", "-A", "app", "worker", "-l", "info")


class Fleet:
    """The workers. One that is `named` keeps its partitions over a restart within the session."""

    def __init__(self, processes: Processes, env: Mapping[str, str]) -> None:
        self.processes = processes
        self.env = {
            **env, "PYTHONPATH": str(ROOT), "HEADRACE_RABBITMQ_URL": "", "HEADRACE_SESSION_S": "6",
            "PYTHONFAULTHANDLER": "1",  # a fault in a C library tells where
        }  # fmt: skip
        self.running: dict[str, Running] = {}
        self.named: dict[str, bool] = {}
        self.ended: Counter[int] = Counter()
        """Exit codes of workers that nobody had ended."""

    def start(self, name: str, *, named: bool = False, **more: str) -> Running:
        """Start a worker; `more` are settings of its own."""
        return self._start(name, FAUST, named, more)

    def armed(self, name: str, point: str, times: int) -> Running:
        """Start a worker that kills itself at a point of `tests.chaos.points`; nobody starts it again."""
        self._start(name, ("python", "-m", "tests.chaos.points", point, str(times)), named=False, more={})
        return self.running.pop(name)

    def timed(self, name: str) -> Running:
        """Start a worker with a name of its own that says how long its state took."""
        return self._start(name, ("python", "-m", "tests.chaos.timed"), named=True, more={})

    def _start(self, name: str, command: tuple[str, ...], named: bool, more: Mapping[str, str]) -> Running:
        instance = {"HEADRACE_INSTANCE": name} if named else {}
        self.named[name] = named
        self.running[name] = self.processes.start(command, self.env | instance | more)
        return self.running[name]

    def kill(self, name: str) -> None:
        self.running.pop(name).kill()

    def stop(self, name: str) -> int | None:
        """End a worker politely; its exit code."""
        one = self.running.pop(name)
        one.stop(60)
        return one.code

    def supervise(self) -> None:
        """Start again what has ended by itself."""
        for name, one in list(self.running.items()):
            if not one.alive:
                self.ended[one.code or 0] += 1
                print(f"         {name} ended by itself with {one.code}: {last_lines(one, 25)[-3000:]}", flush=True)
                self.start(name, named=self.named[name])
