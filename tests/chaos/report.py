"""The page `docs/guarantees.md`: what a run of `make chaos` counted and measured, with versions and date.

Each of the tests of this folder hands over its part when it has come to its end. The page has two halves, each with
the date of its own run: the stream's is written when both its parts are there, the queue's at once, and each leaves
the other as it was. A part of the faults alone (`HEADRACE_CHAOS`) writes nothing.
"""

import os
import platform
import re
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from app.local import rabbitmq, redis
from app.policy.decision import ENGINE
from tests.chaos import queue_scene
from tests.chaos.scene import Row

PAGE: Final = Path(__file__).parents[2] / "docs" / "guarantees.md"
KAFKA: Final = Path(__file__).parents[2] / "app" / "local" / "pom.xml"
GOALS: Final = {
    "failover": ("a worker killed (SIGKILL, session 6 s) → first decision of a survivor in its place", "≤ 9 s"),
    "restart": ("the only worker killed and started again under its name → its first decision", "≤ 6 s"),
    "state": ("… of which restoring its state", "≤ 0.5 s"),
    "stop": ("asked to end (SIGTERM) → gone, with everything committed", "≤ 4 s"),
    "rolling": ("three workers restarted in turn under load: the latest decision after its cause", "≤ 10 s"),
    "large": ("with ten times as many series: the only worker killed and started again → its first decision", "none"),
    "large state": ("… of which restoring its state", "≤ 3 s"),
}

_seconds: dict[str, Sequence[float]] = {}
_loads: list[str] = []
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


def timed(figures: Mapping[str, Sequence[float]], about: str) -> None:
    """Print the table of seconds so far, and keep it for the page once every row is there."""
    _seconds.update(figures)
    _loads.append(about)
    lines = [" ".join(_loads), "", "| what | median | worst | times | goal |", "|---|---|---|---|---|"]
    for name, (what, goal) in GOALS.items():
        if values := _seconds.get(name):
            row = f"{statistics.median(values):.1f} s | {max(values):.1f} s | {len(values)}"
            lines.append(f"| {what} | {row} | {goal} |")
    if _seconds.keys() == GOALS.keys():
        _take("timed", lines)
    else:
        print("\n".join(lines), flush=True)


def queued(rows: list[queue_scene.Row], about: str) -> None:
    """Print the table of the actions, and write it to the page."""
    _take("queued", _actions(rows, about))


def fourth(rows: list[queue_scene.Row], about: str) -> None:
    """Print the table of the actions on RabbitMQ 4, and write it to the page below the other of the same run."""
    _take("fourth", _actions(rows, about))


def _actions(rows: list[queue_scene.Row], about: str) -> list[str]:
    whole = queue_scene.Row("**all**")
    for row in rows:
        whole.add(row)
    lines = [
        about,
        "",
        (
            "| fault | times | actions | lost | effects doubled | contradictions | outcomes written again "
            "| told again | longest pause, p50 / max | back after, p50 / max |"
        ),
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in (*rows, whole):
        found, back, pause = row.found, row.recoveries, row.pauses
        lines.append(
            f"| {row.title} | {row.times} | {row.actions} | {found.lost} | {found.doubled} | {found.other} "
            f"| {found.repeats} | {found.told_again} | {statistics.median(pause):.1f} s / {max(pause):.1f} s "
            f"| {statistics.median(back):.1f} s / {max(back):.1f} s |"
        )
    return lines


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
    if _parts.keys() >= {"counted", "timed"}:
        _write(_stream(), _half(1))
    if name in {"queued", "fourth"} and "queued" in _parts:
        _write(_half(0), _queue())


def _half(which: int) -> str:
    """One half of the page as it stands; empty if it was never written."""
    text = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    return (*text.partition(MARK)[::2],)[which].strip()


def _write(stream: str, queue: str) -> None:
    PAGE.write_text(f"{stream}\n\n{MARK}\n\n{queue}\n".strip() + "\n", encoding="utf-8")


def _queue() -> str:
    names = ("celery", "kombu", "amqp", "redis", "confluent-kafka")
    return QUEUE_TEXT.format(
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        headrace=version("headrace"),
        rabbitmq=_said(Path(rabbitmq.binary() or "").parent / "rabbitmqctl", "version"),
        redis=f"{Path(redis.binary() or '').stem} {_said(redis.binary() or '', '--version')}",
        kafka=_kafka(),
        versions=", ".join(f"{name} {version(name)}" for name in names),
        python=platform.python_version(),
        cores=os.cpu_count(),
        queued="\n".join(_parts["queued"]),
        fourth="\n".join(_parts.get("fourth", [NO_FOURTH])),
    )


def _said(program: str | Path, *arguments: str) -> str:
    """The version in what a program says of itself."""
    done = subprocess.run([str(program), *arguments], capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d+\.\d+", done.stdout + done.stderr)
    return found[0] if found else "of unknown version"


def _kafka() -> str:
    return KAFKA.read_text(encoding="utf-8").split("<kafka.version>")[1].split("<")[0]


def _stream() -> str:
    names = ("faust-streaming", "aiokafka", "confluent-kafka", "msgspec")
    return TEXT.format(
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        headrace=f"{version('headrace')}, engine {ENGINE}",
        kafka=_kafka(),
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

NO_FOURTH: Final = "RabbitMQ 4 could not be had in this run."

MARK: Final = "<!-- The queue, from its own run: -->"

QUEUE_TEXT: Final = """\
# Actions, counted

Counted by `make chaos` on {date}: Headrace {headrace}; RabbitMQ {rabbitmq}, three nodes on one machine behind a proxy,
quorum queues of three replicas; {redis} with append-only file; Apache Kafka {kafka}, one node; {versions}; Python
{python}, {cores} cores shared with other work.

## Nothing lost, nothing done twice

{queued}

{fourth}

Decisions are written to their topic all the time: four of five scale a service of their own, the others roll one back,
share a service with others, or tell a receiver by HTTP. After each fault, or few of one kind, deciding pauses until all
that was decided has ended. Then must hold, by the judge of `headrace audit verify` and more, that

- every action has its outcome: one that has none, or is told as done to a receiver that knows nothing of it, is *lost*;
- every effect at the simulated fleet is there once: more often is *doubled*;
- all outcomes of an action say the same, as the ledger does; what is told as done has its effect; and of a service of
  its own every action is done; effects on one service are in the order of their generations. Anything else is a
  *contradiction*.

A scaling is an absolute count and a rollback a version, so that doing it again is no second effect unless something
else came between; the fleet's own check of the action is a second guard behind the ledger. What a repeat would do to a
target without such guards is seen at the receiver, as *told again*.

A wrong clock is wrong for the Python code of a program and for the times of its outcomes on Kafka. Newer code is this
code with one field more in a scaling and a newer schema: half of the scalings have that field while it runs beside the
old.

*Outcomes written again* and *told again* are no mistakes: deliveries come again, and find in the ledger that all is
done; a notification is told at least once. *Longest pause* is the longest time without any action that ended, from the
beginning of the fault until it was over. *Back after* is from its end (the node of RabbitMQ with all its replicas, the
server that answers again) until a scaling that was decided then is done and its outcome read.
"""
