"""A CSV of `timestamp,value` as a journal of one series: public traces, decided by the same `step`.

Called by `headrace replay --csv`. The whole file is read and checked before the first fact is made, and
every bad row is told. Pure: lines come in, facts go out; nothing is sorted, filled in or left out unsaid.
"""

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from app.history.journal import HistoryError
from app.policy.facts import LAYOUT, Fact, Genesis, Instances, Record, Samples, Series, Source, Tick
from app.wire.rules import UnreadableError
from app.wire.times import milliseconds

TOLD: Final = 10
"""Most bad rows that are told one by one; the others are counted."""

MOST: Final = 20_000_000
"""Most facts of a trace: some minutes of work. A gap of years is a mistake in a timestamp."""

SHORTEST_TICK_MS: Final = 15_000
LONGEST_TICK_MS: Final = 60_000

UNITS: Final = {
    "epoch seconds": (0.0, 1e11, 1000.0), "epoch milliseconds": (1e11, 1e14, 1.0),
    "epoch microseconds": (1e14, 1e17, 1e-3), "epoch nanoseconds": (1e17, 1e20, 1e-6),
}  # fmt: skip
"""How a numeric timestamp is told by its size, as on the topic of metrics; and what makes milliseconds of it."""

ISO: Final = "ISO 8601"


@dataclass
class Rows:
    """The rows of a file: milliseconds and values, in the order of time.

    `times` is what a timestamp was taken for, `header` the first row if it was one; `empty` counts rows
    without a value.
    """

    times: str = ""
    header: str = ""
    at_ms: list[int] = field(default_factory=list)
    value: list[float] = field(default_factory=list)
    empty: int = 0


@dataclass(frozen=True)
class Trace:
    """The facts that rows stand for; iterated as often as one likes.

    `replicas` is what an observer says at the beginning (None: nobody says), `tick_ms` the time between
    two ticks: what staleness, holds and pauses between rows are judged by.
    """

    rows: Rows
    series: Series
    replicas: int | None
    tick_ms: int

    def __iter__(self) -> Iterator[Record]:
        for offset, (at_ms, fact) in enumerate(self._facts()):
            yield Record(0, offset, at_ms, fact)

    def __len__(self) -> int:
        """How many facts there are."""
        rows = self.rows
        ticks = (rows.at_ms[-1] - rows.at_ms[0]) // self.tick_ms + 1
        return 1 + (self.replicas is not None) + len(rows.at_ms) + ticks

    def _facts(self) -> Iterator[tuple[int, Fact]]:
        """Each with its moment: the replicas, then samples at their own times, and ticks between them."""
        rows, series, each = self.rows, [self.series], [0]
        next_ms = rows.at_ms[0]
        yield next_ms, Genesis("csv", 1, LAYOUT)
        if self.replicas is not None:
            yield next_ms, Instances(Source("csv", "replicas", 0, 0, 0), self.series.service, next_ms, self.replicas,
                                     self.replicas)  # fmt: skip
        for number, (at_ms, value) in enumerate(zip(rows.at_ms, rows.value, strict=True)):
            while next_ms < at_ms:
                yield next_ms, Tick(next_ms)
                next_ms += self.tick_ms
            yield at_ms, Samples(Source("csv", "csv", 0, number, number), series, each, [at_ms], [value], each, each)
        if next_ms == rows.at_ms[-1]:
            yield next_ms, Tick(next_ms)


def read(lines: Iterable[str], name: str) -> Rows:
    """The rows of a file called `name`; raises HistoryError that tells every bad row with its line.

    A first row without a number is a header: of more than two columns it picks those called `timestamp`
    and `value`. What a timestamp is, the first row says for all. A row without a value is a moment at
    which nothing was measured. A row that is earlier than the one before is refused: a journal is in
    the order of time, and a mistake looks just so.
    """
    reader = csv.reader(lines)
    made = _Reading()
    try:
        for row in reader:
            if row and any(map(str.strip, row)):
                made.take(row, reader.line_num)
    except csv.Error as error:
        made.bad.append((reader.line_num, f"is no CSV: {error}"))
    if made.bad or made.more:
        raise HistoryError(_told(name, made))
    if not made.rows.at_ms:
        raise HistoryError(f"{name} has no row with a value; a row is `timestamp,value`, like 1700000000,42.5")
    return made.rows


def _told(name: str, made: "_Reading") -> str:
    lines = [f"{name}:{line}: {why}" for line, why in made.bad]
    if made.more:
        lines.append(f"{made.more} more rows are wrong")
    return "\n".join([*lines, "nothing was decided; a row is `timestamp,value`, like 1700000000,42.5"])


def checked(trace: Trace, name: str) -> Trace:
    """The same; raises HistoryError if it would make more facts than can be decided in a sensible time."""
    if len(trace) > MOST:
        rows = trace.rows
        raise HistoryError(
            f"{name} goes from {_moment(rows.at_ms[0])} to {_moment(rows.at_ms[-1])}, which makes {len(trace):,} facts "
            f"with a tick every {trace.tick_ms / 1000:g} s; give a longer --tick, or look at the timestamps"
        )
    return trace


def apart_ms(rows: Rows) -> float:
    """Milliseconds between two rows, on average."""
    return (rows.at_ms[-1] - rows.at_ms[0]) / max(1, len(rows.at_ms) - 1)


def tick_for(rows: Rows) -> int:
    """Milliseconds between two ticks where nobody says: Kubernetes' 15 s, or a minute where rows are rarer."""
    return round(min(LONGEST_TICK_MS, max(SHORTEST_TICK_MS, apart_ms(rows))))


def about(trace: Trace) -> str:
    """What was read, in a sentence."""
    rows = trace.rows
    header = f", after a header ({rows.header})" if rows.header else ""
    silent = f", {rows.empty} more have no value" if rows.empty else ""
    return (
        f"{len(rows.at_ms)} rows from {_moment(rows.at_ms[0])} to {_moment(rows.at_ms[-1])} UTC "
        f"(timestamps are {rows.times}){header}{silent}; "
        f"a tick every {trace.tick_ms / 1000:g} s"
    )


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(" ", "seconds").removesuffix("+00:00")


class _Reading:
    """Takes one row after another."""

    def __init__(self) -> None:
        self.rows = Rows()
        self.bad: list[tuple[int, str]] = []
        self.more = 0
        self._columns: tuple[int, int] | None = None
        self._width = 2
        self._last_ms = -1

    def take(self, row: Sequence[str], line: int) -> None:
        """A row at a line; one that is wrong is kept as a sentence."""
        try:
            if self._columns is None and self._header(row):
                return
            self._row(row)
        except UnreadableError as error:
            if len(self.bad) < TOLD:
                self.bad.append((line, str(error)))
            else:
                self.more += 1

    def _header(self, row: Sequence[str]) -> bool:
        """Whether the first row names the columns; which ones they are."""
        names = [cell.strip().lower() for cell in row]
        self._columns, self._width = (0, 1), 2
        if any(map(_is_number, names)):
            return False
        if "timestamp" in names and "value" in names:
            self._columns, self._width = (names.index("timestamp"), names.index("value")), len(row)
        elif len(row) != 2:
            raise UnreadableError(f"has {len(row)} columns, and none of them are called timestamp and value")
        elif _is_time(row[0]):
            return False
        self.rows.header = ",".join(names)[:80]
        return True

    def _row(self, row: Sequence[str]) -> None:
        assert self._columns is not None
        if len(row) != self._width:
            raise UnreadableError(f"has {len(row)} columns and not {self._width}: {','.join(row)[:40]!r}")
        at_ms = self._time(row[self._columns[0]].strip())
        text = row[self._columns[1]].strip()
        if at_ms < self._last_ms:
            raise UnreadableError(f"is {self._last_ms - at_ms} ms earlier than the row before; sort it by time")
        self._last_ms = at_ms
        if not text:
            self.rows.empty += 1
            return
        try:
            value = float(text)
        except ValueError:
            raise UnreadableError(f"the value {text[:40]!r} is no number") from None
        if not math.isfinite(value):
            raise UnreadableError(f"the value {text!r} is not finite; leave it out, or empty, where nothing is known")
        self.rows.at_ms.append(at_ms)
        self.rows.value.append(value)

    def _time(self, text: str) -> int:
        try:
            number = float(text)
        except ValueError:
            return self._of_text(text)
        if not self.rows.times:
            self.rows.times = _unit(number, text)
        low, high, factor = UNITS.get(self.rows.times, (0.0, -1.0, 0.0))
        if not low <= number <= high:
            raise UnreadableError(f"the timestamp {text!r} is not in {self.rows.times}, as those before it")
        return round(number * factor)

    def _of_text(self, text: str) -> int:
        try:
            found = milliseconds(text)
        except UnreadableError:
            raise UnreadableError(f"the timestamp {text[:40]!r} is neither a number nor ISO 8601") from None
        self.rows.times = self.rows.times or ISO
        if self.rows.times != ISO:
            raise UnreadableError(f"the timestamp {text!r} is not in {self.rows.times}, as those before it")
        return found


def _unit(number: float, text: str) -> str:
    for name, (low, high, _) in UNITS.items():
        if low <= number <= high:
            return name
    raise UnreadableError(f"the timestamp {text!r} is neither a number from 0 to 1e20 nor ISO 8601")


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _is_time(text: str) -> bool:
    try:
        milliseconds(text.strip())
    except UnreadableError:
        return False
    return True
