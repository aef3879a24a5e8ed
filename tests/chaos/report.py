"""The page `docs/guarantees.md`: what a run of `make chaos` counted and measured, with versions and date.

Each of the two tests of this folder hands over its part when it has come to its end; the page is
written when both are there. A part of the faults alone (`HEADRACE_CHAOS`) writes nothing.
"""

import os
import platform
import statistics
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from app.policy.decision import ENGINE
from tests.chaos.scene import Row

PAGE: Final = Path(__file__).parents[2] / "docs" / "guarantees.md"
KAFKA: Final = Path(__file__).parents[2] / "app" / "local" / "pom.xml"
GOALS: Final = {
    "failover": ("a worker killed (SIGKILL, session 6 s) → first decision of a survivor in its place", "≤ 9 s"),
    "restart": ("the only worker killed and started again under its name → its first decision", "≤ 6 s"),
    "state": ("… of which restoring its state", "≤ 0.5 s"),
    "stop": ("asked to end (SIGTERM) → gone, with everything committed", "≤ 4 s"),
    "rolling": ("three workers restarted in turn under load: the latest decision after its cause", "≤ 10 s"),
}

_parts: dict[str, list[str]] = {}


def counted(rows: list[Row], about: str) -> None:
    """Print the table of what was counted, and keep it for the page."""
    lines = [
        about,
        "",
        (
            "| fault | times | facts sent | lost | counted twice | decisions or states that differ "
            "| good in quarantine | back after, p50 / max |"
        ),
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [_line(row) for row in rows]
    lines.append(_total(rows))
    _take("counted", lines)


def timed(figures: dict[str, list[float]], about: str) -> None:
    """Print the table of seconds, and keep it for the page."""
    lines = [about, "", "| what | median | worst | times | goal |", "|---|---|---|---|---|"]
    for name, (what, goal) in GOALS.items():
        values = figures[name]
        lines.append(f"| {what} | {statistics.median(values):.1f} s | {max(values):.1f} s | {len(values)} | {goal} |")
    _take("timed", lines)


def _line(row: Row) -> str:
    found = row.found
    back = f"{statistics.median(row.recoveries):.1f} s / {max(row.recoveries):.1f} s"
    differ = found.decisions + found.states
    return (
        f"| {row.title} | {row.times} | {row.sent} | {found.lost} | {found.twice + found.other} | {differ} "
        f"| {found.quarantined} | {back} |"
    )


def _total(rows: list[Row]) -> str:
    whole = Row("**all**")
    for row in rows:
        whole.add(row)
    return _line(whole)


def _take(name: str, lines: list[str]) -> None:
    print("\n".join(["", *lines, ""]), flush=True)
    if os.environ.get("HEADRACE_CHAOS"):
        return
    _parts[name] = lines
    if _parts.keys() == {"counted", "timed"}:
        PAGE.write_text(_page(), encoding="utf-8")


def _page() -> str:
    names = ("faust-streaming", "aiokafka", "confluent-kafka", "msgspec")
    return TEXT.format(
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        headrace=f"{version('headrace')}, engine {ENGINE}",
        kafka=KAFKA.read_text(encoding="utf-8").split("<kafka.version>")[1].split("<")[0],
        versions=", ".join(f"{name} {version(name)}" for name in names),
        python=platform.python_version(),
        cores=os.cpu_count(),
        **{name: "\n".join(lines) for name, lines in _parts.items()},
    )


TEXT: Final = """\
# Guarantees, counted

<!-- Written by `make chaos` when a run has come to its end: run it again, do not change this page. -->

Counted by `make chaos` on {date}: Headrace {headrace}; Apache Kafka {kafka}, three nodes on one machine, three
replicas, two to acknowledge; {versions}; Python {python}, {cores} cores shared with other work.

## Nothing lost, nothing counted twice

{counted}

Samples go to four topics (no key, by host, by service, random keys; 3, 5, 8 and 2 partitions; four compressions),
deploys and outcomes to theirs, all the time. After each fault, or few of one kind, sending pauses. Then must hold that

- each series is remembered with the number, the sum, the newest time and the newest value of the samples that Kafka
  acknowledged, and every deploy and outcome is there: what is missing is *lost*, anything else *counted twice*;
- every state that any worker ever wrote is, byte for byte, what a replay of the journal from its beginning gives at
  that place, and so is every decision; none is missing; a replay from a snapshot taken at random gives the same;
- every partition of the sources and of the journal has one owner, which lives, and the intakes say that they have read
  so far (`read_until`);
- quarantine holds the bad records that were sent on purpose, and nothing else.

*Back after* is from the end of the fault (the kill of the last worker, the thaw, the broker in sync again) until
everything that was sent up to then is in written states. Facts and decisions that are written to their topics again
after a crash are no mistakes: marks and ids are there for them.

## Back in seconds

{timed}

What is timed are deploys: each is decided about once, as soon as it is read. The figures are of one run on a machine
with other work; nothing is asserted of them.
"""
