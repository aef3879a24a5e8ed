"""CPU of processes, and results as a table: what the benchmarks of the queue print."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import perf_counter, process_time


def groups_cpu_s(pids: Sequence[int]) -> float:
    """CPU seconds so far of programs started as groups of their own, all their processes; needs Linux."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it ended this moment
            continue
        if int(fields[2]) in pids:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / 100


class Clock:
    """Wall and CPU seconds of this process, from `with` to its end."""

    def __enter__(self):
        self._wall, self._cpu = perf_counter(), process_time()
        return self

    def __exit__(self, *_):
        self.wall_s, self.cpu_s = perf_counter() - self._wall, process_time() - self._cpu


def middle(rounds: Sequence[Sequence[float]]) -> list[float]:
    """The median of each column."""
    return [median(column) for column in zip(*rounds, strict=True)]


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under a title, the first column to the left."""
    shown = [list(map(str, row)) for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    print(f"\n{title}")
    for first, *rest in shown:
        numbers = (cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))
        print(first.ljust(widths[0]), *numbers, sep="  ")
