"""A timeline as one HTML file that needs nothing else: no script, no other host, readable in print.

`headrace timeline -o html` calls it. Names come from whoever sends events: the template escapes all.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from app.history.entries import Entry, Timeline, line, remarks, short
from app.history.measured import metric_line
from app.history.words import moment

WIDTH: Final = 960.0
HEIGHT: Final = 140.0
DAY_MS: Final = 86_400_000

_MARKED: Final = frozenset({"deploy", "change", "action"})
_QUIET: Final = ("instance started", "instance stopped")


class Mark(NamedTuple):
    """A moment on a chart."""

    x: float
    kind: str
    text: str


class Chart(NamedTuple):
    """A line with its band, as SVG points; `low` and `high` are the numbers at the bottom and the top.

    `second` is a quieter line on the same scale: of replicas, those that are ready.
    """

    name: str
    line: str
    band: str
    second: str
    low: str
    high: str


def html(timeline: Timeline, asked_ms: int) -> str:
    """The file; `asked_ms` is when it was asked for."""
    environment = Environment(
        loader=PackageLoader("app.history"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    clock = _clock(timeline)
    environment.filters |= {"moment": moment, "clock": clock, "measured": _measured, "web": _is_web}
    marks = [
        Mark(_x(timeline, one.at_ms), one.kind, f"{clock(one.at_ms)} {one.text}")
        for one in timeline.entries
        if one.kind in _MARKED and not one.text.startswith(_QUIET)
    ]
    texts = {one.id: short(one.text) for one in timeline.entries if one.id}
    return environment.get_template("timeline.html").render(
        timeline=timeline,
        remarks=remarks(timeline),
        asked_ms=asked_ms,
        marks=marks,
        charts=_charts(timeline),
        texts=texts,
        width=WIDTH,
        height=HEIGHT,
    )


def _charts(timeline: Timeline) -> list[Chart]:
    found = []
    if timeline.replicas:
        found.append(_replicas(timeline))
    for name, buckets in timeline.metrics.items():
        low, high = min(one[2] for one in buckets), max(one[3] for one in buckets)
        above = [(_x(timeline, at_ms), _y(most, low, high)) for at_ms, _, _, most, _ in buckets]
        below = [(_x(timeline, at_ms), _y(least, low, high)) for at_ms, _, least, _, _ in buckets]
        line = [(_x(timeline, at_ms), _y(mean, low, high)) for at_ms, mean, _, _, _ in buckets]
        band = above + below[::-1] if len(buckets) > 1 else []
        found.append(Chart(name, _points(line), _points(band), "", f"{low:.4g}", f"{high:.4g}"))
    return found


def _replicas(timeline: Timeline) -> Chart:
    high = max(max(wanted, ready) for _, wanted, ready in timeline.replicas)
    wanted = _stairs(timeline, [(at_ms, count) for at_ms, count, _ in timeline.replicas], high)
    ready = _stairs(timeline, [(at_ms, count) for at_ms, _, count in timeline.replicas], high)
    return Chart("replicas wanted, and ready (dashed)", wanted, "", ready, "0", f"{high}")


def _stairs(timeline: Timeline, steps: list[tuple[int, int]], high: int) -> str:
    points: list[tuple[float, float]] = []
    for at_ms, count in steps:
        x, y = _x(timeline, at_ms), _y(count, 0, high)
        if points:
            points.append((x, points[-1][1]))
        points.append((x, y))
    points.append((WIDTH, points[-1][1]))
    return _points(points)


def _x(timeline: Timeline, at_ms: int) -> float:
    share = (at_ms - timeline.from_ms) / max(1, timeline.to_ms - timeline.from_ms)
    return round(min(1.0, max(0.0, share)) * WIDTH, 1)


def _y(value: float, low: float, high: float) -> float:
    share = (value - low) / (high - low) if high > low else 0.5
    return round(HEIGHT - 4 - share * (HEIGHT - 8), 1)


def _points(points: list[tuple[float, float]]) -> str:
    return " ".join(f"{x},{y}" for x, y in points)


def _clock(timeline: Timeline) -> Callable[[int], str]:
    """How a time is written: with its day where the account has more than one."""
    times = [timeline.from_ms, timeline.to_ms - 1, *(one.at_ms for one in timeline.entries)]
    form = "%H:%M:%S" if len({at_ms // DAY_MS for at_ms in times}) == 1 else "%m-%d %H:%M:%S"
    return lambda at_ms: datetime.fromtimestamp(at_ms / 1000, UTC).strftime(form)


def _measured(entry: Entry) -> list[str]:
    """What was measured for an action, a line a metric."""
    found: Any = entry.detail.get("evidence", {}).get("metrics", []) if entry.kind == "action" else []
    return [line(metric_line(one)) for one in found]


def _is_web(link: str) -> bool:
    """Whether a link may be followed: one to the web, nothing that runs."""
    return link.startswith(("https://", "http://"))
