"""Rounds in which all that is compared takes turns, and the table of what came of them.

CPU seconds are what is compared: other work on the machine stretches them as well, but all rows of
a round alike, so that a ratio of two rows of the same round says something where seconds do not.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median
from time import process_time


def cpu_s(work: Callable[[], object]) -> float:
    """CPU seconds of this process for some work."""
    began = process_time()
    work()
    return process_time() - began


def interleaved(rows: Mapping[str, Callable[[], float]], rounds: int = 5) -> dict[str, list[float]]:
    """What each row measured in each round; a round before the first makes everything warm."""
    found: dict[str, list[float]] = {name: [] for name in rows}
    for turn in range(rounds + 1):
        for name, row in rows.items():
            took = row()
            if turn:
                found[name].append(took)
    return found


def ratio(some: list[float], others: list[float]) -> float:
    """The median of the ratios within each round."""
    return median(one / other for one, other in zip(some, others, strict=True))


@dataclass
class Figures:
    """A table: each row has its figures by name, and a goal where there is one."""

    title: str
    rows: dict[str, dict[str, object]] = field(default_factory=dict)

    def row(self, name: str, **figures: object) -> None:
        self.rows[name] = figures

    def show(self) -> None:
        print(f"\n\n{self.title}")
        width = max((len(name) for name in self.rows), default=0)
        for name, figures in self.rows.items():
            words = [f"{key.replace('_', ' ')} {_said(value)}" for key, value in figures.items()]
            print(f"  {name:<{width}}  {';  '.join(words)}")


def _said(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
