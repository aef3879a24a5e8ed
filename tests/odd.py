"""Odd workers and apps: `python -m tests.odd [WORD …] worker|app|app.router`. Each word is a way to be odd:

`clock=FILE`: the clock is wrong by as many seconds as stand in the file, and jumps when that changes: for the Python
code of the program, its libraries' too, and for the times that it gives its messages on Kafka. `newer`: the code of a
version to come, with a field of a scaling and a schema of messages that this one does not know. `lost`: Kafka's client
is told of no broker when it asks for the group's, as a broker that has just started may do. `deaf`: a scaling of the
fleet hears nothing of being told to end, as code in C may; `stays`: nor does its process afterwards. `sweeps`: it
forgets time limits that are over every second, and prints how many it had and has.
"""

import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any, Union

LOOK_S = 0.2
"""Seconds after which the file is looked at again."""


class Clock:
    """In the place of the module `time`'s, from before anything else is imported."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._now, self._now_ns = time.time, time.time_ns
        self._looked = -LOOK_S
        self._wrong_s = 0

    def set(self) -> None:
        time.time = lambda: self._now() + self._wrong()
        time.time_ns = lambda: self._now_ns() + self._wrong() * 1_000_000_000

    def _wrong(self) -> int:
        if time.monotonic() - self._looked >= LOOK_S:
            self._looked = time.monotonic()
            self._wrong_s = int(self.file.read_text())
        return self._wrong_s


def _stamped() -> None:
    """Have outcomes carry the program's time, as they do where the whole machine's clock is wrong."""
    from tasks import outcomes

    class Producer(outcomes.Producer):  # type: ignore[misc]
        def produce(self, *args: Any, **kwargs: Any) -> None:
            super().produce(*args, timestamp=int(time.time() * 1000), **kwargs)

    outcomes.Producer = Producer  # type: ignore[misc]


def _newer() -> None:
    """Change the contract before anybody has taken a word from it."""
    from tasks import contract

    class Scale(contract.Scale, frozen=True, kw_only=True, tag="scale", tag_field="kind"):
        note: str = ""

    others = [one for one in contract.Action.__args__ if one is not contract.Scale]
    contract.Scale = Scale  # type: ignore[misc]
    contract.Action = Union[(Scale, *others)]  # type: ignore[misc,assignment]
    contract.SCHEMA += 1  # type: ignore[misc]


def _lost() -> None:
    from aiokafka.client import AIOKafkaClient

    async def lookup(self: AIOKafkaClient, *_: Any) -> None:
        """As its own does where `get_random_node` gives none."""
        raise AssertionError("Did we not perform bootstrap?")

    AIOKafkaClient.coordinator_lookup = lookup  # type: ignore[method-assign]


def _deaf() -> None:
    from tasks.clients import simulated

    class Deaf:
        @staticmethod
        def sleep(seconds: float) -> None:
            until = time.monotonic() + seconds
            while (left := until - time.monotonic()) > 0:
                with suppress(SystemExit):
                    time.sleep(left)

    simulated.time = Deaf  # type: ignore[assignment]


def _stays() -> None:
    from tasks import main as tasks_main

    tasks_main.terminate_handler_fired = lambda: False


def _sweeps() -> None:
    from tasks import timers

    def swept(timer: Any, sweep: Any = timers.sweep) -> None:
        before = len(timer)
        sweep(timer)
        print(f"timers {before} {len(timer)}", flush=True)

    timers.SWEEP_S, timers.sweep = 1.0, swept  # type: ignore[misc]


def main(*words: str) -> None:
    """Run the program that the last word names: the worker, or an app of Faust."""
    *odd, program = words
    for word in odd:
        if word.startswith("clock="):
            Clock(Path(word.removeprefix("clock="))).set()
    if "newer" in odd:
        _newer()
    for word, change in (("lost", _lost), ("deaf", _deaf), ("stays", _stays), ("sweeps", _sweeps)):
        if word in odd:
            change()
    if program != "worker":
        from faust.cli.faust import cli

        sys.argv = ["faust", "-A", program, "worker", "-l", "info"]
        cli()
    else:
        from celery.__main__ import main as celery

        if any(word.startswith("clock=") for word in odd):
            _stamped()
        sys.argv = ["celery", "-A", "tasks", "worker", "-l", "info", "-c", "2", "-n", f"{uuid.uuid4().hex}@%h"]
        celery()


def wrong(file: Path, seconds: int) -> None:
    """Have a program's clock be wrong by so many seconds from now on."""
    half = file.with_suffix(".half")
    half.write_text(str(seconds))
    half.replace(file)


if __name__ == "__main__":
    main(*sys.argv[1:])
