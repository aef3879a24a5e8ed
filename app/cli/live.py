"""What the demo shows while it runs: live tables on a terminal, plain lines where there is none."""

import sys
import time
from collections import deque
from collections.abc import Mapping
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from app.history.rollouts import VERDICTS
from app.local.fleet import Seen
from app.local.watch import Event
from app.policy.decision import SENTENCES, Decision
from app.policy.words import aim
from app.wire.quarantine import Quarantined
from tasks.contract import Notify, Outcome, Scale, kind_of

LINES = 18
EVERY_S = 5.0
"""Seconds between two plain lines about the fleet."""


class Screen:
    """Shows the fleet, each decision with its reason and each action with its outcome."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._lines: deque[Text] = deque(maxlen=LINES)
        self._live = Live(console=self._console, refresh_per_second=4) if sys.stdout.isatty() else None
        self._began = time.monotonic()
        self._next_s = 0.0
        self._seen: Mapping[str, Seen] = {}
        self._in_force = ""

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the live display; what it showed stays."""
        if self._live:
            self._live.stop()
            self._live = None

    def say(self, line: str) -> None:
        """Say something of the demo itself."""
        self._add(Text(line, "bold"))

    def event(self, event: Event) -> None:
        """Show a decision, an outcome or a record put in quarantine."""
        if isinstance(event, Decision) and event.service == "*" and event.event is None:
            if event.fingerprint == self._in_force:
                return  # each partition says so
            self._in_force = event.fingerprint
        self._add(text_of(event))

    def fleet(self, seen: Mapping[str, Seen], at_s: float) -> None:
        """Show the services as they are."""
        self._seen = seen
        if self._live:
            self._live.update(Group(self._table(), *self._lines))
        elif at_s >= self._next_s:
            self._next_s = at_s + EVERY_S
            services = "   ".join(f"{name} {one.ready}/{one.wanted} cpu {one.cpu:.0f} %" for name, one in seen.items())
            self._add(Text(f"fleet      {services}", "dim"))

    def _add(self, line: Text) -> None:
        stamped = Text(f"{time.monotonic() - self._began:5.1f}s  ", "dim") + line
        self._lines.append(stamped)
        if not self._live:
            self._console.print(stamped, soft_wrap=True)

    def _table(self) -> Table:
        table = Table("service", "CPU", "", "replicas", box=None)
        for name, one in self._seen.items():
            bar = "█" * round(one.cpu / 4)
            colour = "red" if one.cpu > 66 else "green" if one.cpu > 30 else "blue"
            table.add_row(name, f"{one.cpu:.0f} %", Text(f"{bar:<25}", colour), f"{one.ready} of {one.wanted}")
        return table


def text_of(event: Event) -> Text:
    """One line for people."""
    if isinstance(event, Quarantined):
        return Text(f"quarantine {event.topic}[{event.partition}]@{event.offset}: {event.reason}", "magenta")
    if isinstance(event, Outcome):
        told = f"{event.action.value} {event.service}: {event.detail or event.status.value}"
        again = f" (attempt {event.attempts})" if event.attempts > 1 else ""
        return Text(f"{event.status.value:<10} {told}{again}", "green" if event.status.value == "done" else "yellow")
    return _decision(event)


def _decision(one: Decision) -> Text:
    if isinstance(one.action, Scale):
        to = f"scale {one.service} {one.action.from_replicas} → {one.action.to_replicas}"
        return Text(f"decided    {to}: {one.reason.value}, {_measured(one) or SENTENCES[one.reason]}", "cyan")
    if isinstance(one.action, Notify):
        return Text(f"decided    tell {one.action.receiver}: {one.action.title}", "cyan")
    if one.action is not None:
        return Text(f"decided    {kind_of(one.action).value} {one.service}: {SENTENCES[one.reason]}", "cyan")
    if one.event is not None:
        event = one.event
        what = event.what or " ".join(filter(None, (event.version, event.pod)))
        return Text(f"seen       {event.event} {event.service} {what}", "blue")
    if one.service == "*":
        return Text(f"in force   {', '.join(map(str, one.evidence.get('policies', [])))}", "bold")  # type: ignore[call-overload]
    word = "judged " if VERDICTS.fullmatch(one.reason.value) else "refused"
    return Text(f"{word}    {one.service}: {one.reason.value}, {_measured(one) or SENTENCES[one.reason]}", "yellow")


def _measured(one: Decision) -> str:
    metrics = one.evidence.get("metrics")
    found = metrics if isinstance(metrics, list) else []
    return ", ".join(f"{each['name']} {each['value']:.0f} ({aim(each)})" for each in found)
