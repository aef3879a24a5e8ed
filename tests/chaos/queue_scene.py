"""The stage for faults of the queue: servers, router, workers, decisions, and the count that follows each fault.

`Scene.suffer` has one fault happen while actions flow, sees how soon a new one is done after it, waits until all that
was decided has ended, and holds it to the law. `tests.chaos.queue_faults` says what can happen.
"""

import os
import random
import signal
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep, time

from app.settings import Settings
from tests.chaos.queue_traffic import Counts, Decider, Ledgers
from tests.chaos.rabbits import Rabbits
from tests.faults import Proxy
from tests.processes import Processes, Running, last_lines, wait_for

PATIENCE_S = 180.0
"""Longest wait for everything to be in order again; seconds on an idle machine."""
LEASE_S = 3
ROOT = Path(__file__).parents[2]
ROUTER = "router"


@dataclass
class Row:
    """What came of one kind of fault."""

    title: str
    times: int = 0
    actions: int = 0
    recoveries: list[float] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    found: Counts = field(default_factory=Counts)

    def add(self, other: "Row") -> None:
        """Take what came of another kind too."""
        self.times += other.times
        self.actions += other.actions
        self.recoveries += other.recoveries
        self.pauses += other.pauses
        self.found.add(other.found)


class Crew:
    """The router and the workers by name, as a supervisor runs them: what ends by itself is started again and noted."""

    def __init__(self, processes: Processes, env: Mapping[str, str]) -> None:
        self.processes = processes
        self.env = {**env, "PYTHONPATH": str(ROOT), "HEADRACE_LEASE_S": str(LEASE_S), "HEADRACE_SESSION_S": "6"}
        self.env["PYTHONFAULTHANDLER"] = "1"  # who hangs can be made to say where
        self.running: dict[str, Running] = {}
        self.odd: dict[str, tuple[str, ...]] = {}
        """Who is odd, and how, in the words of `tests.odd`."""
        self.ended: Counter[int] = Counter()
        """Exit codes of programs that nobody had ended."""

    @property
    def workers(self) -> list[str]:
        return [name for name in self.running if name != ROUTER]

    def start(self, name: str) -> Running:
        """Start the router, or a worker."""
        more, odd = {"HEADRACE_INSTANCE": name}, self.odd.get(name)
        if odd:
            command = ["python", "-m", "tests.odd", *odd, "app.router" if name == ROUTER else "worker"]
        elif name == ROUTER:
            command = ["faust", "-A", "app.router", "worker", "-l", "info"]
        else:
            unique = f"{name}-{uuid.uuid4().hex[:8]}@%h"
            command = ["celery", "-A", "tasks", "worker", "-l", "info", "-c", "2", "-n", unique]
        self.running[name] = self.processes.start(command, self.env | more)
        return self.running[name]

    def renew(self, name: str, *odd: str) -> None:
        """Ask a program to end, and start it again, odd or as it should be."""
        one = self.running.pop(name)
        if name != ROUTER:  # one that was just started has no handler yet for what it is sent now
            wait_for(lambda: " ready" in one.text or not one.alive, PATIENCE_S, f"{name} to be ready")
        one.stop(60)
        assert one.code == 0, f"{name} was asked to end and did so with {one.code}: {one.text[-1000:]}"
        self.odd[name] = odd
        self.start(name)

    def armed(self, point: str, times: int) -> Running:
        """Start a program that kills itself at a point of `tests.chaos.queue_points`; nobody starts it again."""
        return self.processes.start(["python", "-m", "tests.chaos.queue_points", point, str(times)], self.env)

    def confess(self) -> dict[str, str]:
        """End every process at once, and what each says of where it was."""
        for one in self.running.values():
            children = Path(f"/proc/{one.pid}/task/{one.pid}/children").read_text().split() if one.alive else []
            for pid in (*children, one.pid):
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGABRT)
        sleep(1.0)
        return {name: last_lines(one, 120) for name, one in self.running.items()}

    def supervise(self) -> None:
        """Start again what has ended by itself."""
        for name, one in list(self.running.items()):
            if not one.alive:
                self.ended[one.code or 0] += 1
                self.start(name)


class Scene:
    """Everything that takes part. `rabbits` is None where there is one RabbitMQ only."""

    def __init__(
        self, settings: Settings, crew: Crew, decider: Decider, ledgers: Ledgers, rabbits: Rabbits | None = None
    ) -> None:
        self.settings, self.crew, self.decider, self.ledgers, self.rabbits = settings, crew, decider, ledgers, rabbits
        self.dice = random.Random(decider.dice.random())
        self.kafka = self.redis = self.proxy = None
        """Servers to break, and the way to RabbitMQ, set by the test."""
        self.rows: dict[str, Row] = {}
        self._before = Counts()
        self._counted = 0

    def use(self, kafka, redis, proxy: Proxy) -> None:
        self.kafka, self.redis, self.proxy = kafka, redis, proxy

    def begin(self, *workers: str) -> None:
        """Start everybody, and decide when the first action was done."""
        for name in (ROUTER, *workers):
            self.crew.start(name)
        self.recover()
        self.decider.resume()

    def let(self, seconds: float) -> None:
        """Let time pass, and the supervisor do its work."""
        deadline = monotonic() + seconds
        while monotonic() < deadline:
            self.crew.supervise()
            self.ledgers.read()

    def suffer(self, title: str, fault: Callable[["Scene"], None], times: int = 1) -> None:
        """One fault, and the count after it; fails if anything is not as it should be."""
        began, began_ms = monotonic(), time() * 1000
        fault(self)
        row = self.rows.setdefault(title, Row(title))
        row.times += times
        row.recoveries.append(self.recover())
        back_ms = time() * 1000
        found, wrong = self.count(row)
        row.pauses.append(self.ledgers.longest_pause_s(began_ms, back_ms))
        print(
            f"{monotonic() - began:6.1f} s  {title}: back after {row.recoveries[-1]:.1f} s, longest pause "
            f"{row.pauses[-1]:.1f} s, {found}",
            flush=True,
        )
        assert not found.wrong, f"after {title}: {found}: {wrong[:5]}"

    def recover(self) -> float:
        """Seconds until an action that is decided now is done."""
        began, one = monotonic(), self.decider.one()
        self._wait(lambda: one in self.ledgers.ids, "a new action to be done")
        return monotonic() - began

    def count(self, row: Row) -> tuple[Counts, list[str]]:
        """All that was decided, once it has ended, against what everybody says."""
        known = self.decider.pause(PATIENCE_S)
        self._wait(lambda: known.keys() <= self.ledgers.ids, "all that was decided to end", known)
        so_far, wrong = self.ledgers.count(known)
        found = so_far.since(self._before)
        self._before = so_far
        row.actions += len(known) - self._counted
        self._counted = len(known)
        row.found.add(found)
        self.decider.resume()
        return found, wrong

    def _wait(self, condition: Callable[[], object], what: str, known: Mapping[str, object] | None = None) -> None:
        def tried() -> object:
            self.crew.supervise()
            self.ledgers.read()
            return condition()

        try:
            wait_for(tried, PATIENCE_S, what)
        except AssertionError as error:
            missing = sorted((known or {}).keys() - self.ledgers.ids)
            logs = {name: last_lines(one, 4) for name, one in self.crew.running.items()}
            for name, words in self.crew.confess().items():
                print(f"{name}: {words}", flush=True)
            raise AssertionError(f"{error}; {len(missing)} without an outcome {missing[:5]}; logs: {logs}") from None


def moment(scene: Scene, low: float, high: float) -> None:
    """Let a random time pass."""
    scene.let(scene.dice.uniform(low, high))
