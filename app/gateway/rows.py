"""The rows of the incident page's tables: decisions, events, builds, quarantine. Pure and bounded.

`app.gateway.board` keeps them. Every text is somebody else's and may be hostile: it is cut here
and shown as text there.
"""

from bisect import bisect_left, insort
from collections.abc import Callable
from typing import Any, Final

from app.gateway.services import cut
from app.history.explain import what
from app.policy.decision import Decision
from app.policy.words import aim
from app.wire.quarantine import Quarantined
from tasks.contract import Build, Outcome, Scale

TEXT: Final = 240
"""Characters of a longer text that are kept."""

SHOWN_BYTES: Final = 200
"""Bytes of a record in quarantine that are shown."""

Row = dict[str, Any]
"""A row as it goes to the page: `id`, `at` (milliseconds since the epoch), and the cells."""


class Rows:
    """The newest `most` rows by their time, each with the number of its last change."""

    def __init__(self, most: int) -> None:
        self.left_out = 0
        self._most = most
        self._rows: dict[str, Row] = {}
        self._number: dict[str, int] = {}
        self._times: list[tuple[int, str]] = []

    def __contains__(self, key: object) -> bool:
        return key in self._rows

    def put(self, row: Row, number: int) -> None:
        """Add a row. One that is there already stays as it is: the first word under an id counts."""
        key, at_ms = row["id"], row["at"]
        if key in self._rows:
            return
        if len(self._rows) >= self._most:
            self.left_out += 1
            if at_ms <= self._times[0][0]:
                return
            self._drop(1)
        self._rows[key], self._number[key] = row, number
        insort(self._times, (at_ms, key))

    def amend(self, key: str, number: int, change: Callable[[Row], Row]) -> bool:
        """Add to a row, if it is there, what `change` makes of it."""
        row = self._rows.get(key)
        if row is None:
            return False
        more = change(row)
        if any(row.get(name) != value for name, value in more.items()):
            row.update(more)
            self._number[key] = number
        return True

    def after(self, number: int) -> list[Row]:
        """The rows that changed after a number, oldest first."""
        return [self._rows[key] for _, key in self._times if self._number[key] > number]

    def forget(self, from_ms: int) -> None:
        """Drop rows that are older than a moment."""
        self._drop(bisect_left(self._times, (from_ms, "")))

    def _drop(self, count: int) -> None:
        for _, key in self._times[:count]:
            del self._rows[key], self._number[key]
        del self._times[:count]


def decision_row(decision: Decision) -> Row:
    """A decision, or a refusal, with the numbers that people look for first."""
    action = decision.action
    scale = [action.from_replicas, action.to_replicas] if isinstance(action, Scale) else None
    return {
        "id": decision.id,
        "at": decision.at_ms,
        "service": cut(decision.service),
        "policy": cut(decision.policy),
        "reason": decision.reason.value,
        "numbers": cut(_numbers(decision.evidence), TEXT),
        "action": cut(what(action), TEXT) if action else "",
        "scale": scale,
        "expires": action.expires_at_ms if action else 0,
        "shadow": decision.shadow,
        "outcome": None,
    }


def _numbers(evidence: dict[str, Any]) -> str:
    """The metrics beside their targets, and who stands against it."""
    metrics = evidence.get("metrics")
    words = [
        f"{one['name']} {one['value']:.4g} ({aim(one)})"
        for one in (metrics if isinstance(metrics, list) else ())
        if isinstance(one, dict) and {"name", "value"} <= one.keys() and one.keys() & {"target", "type"}
    ]
    pause = evidence.get("paused")
    if isinstance(pause, dict):
        way = f" {pause['direction']}" if pause.get("direction") in {"up", "down"} else ""
        words.append(f"paused{way} by {pause.get('author') or 'somebody'}: {pause.get('reason', '')}")
    words += [f"{word} {evidence[word]}" for word in ("decision", "pending", "highest") if word in evidence]
    return "; ".join(words)


def outcome_cell(outcome: Outcome) -> Row:
    """What became of an action."""
    return {
        "status": outcome.status.value,
        "detail": cut(outcome.detail, TEXT),
        "found": outcome.found,
        "set": outcome.set,
        "attempts": outcome.attempts,
        "worker": cut(outcome.worker),
        "at": outcome.ended_at_ms,
        "took": max(0, outcome.ended_at_ms - outcome.started_at_ms) if outcome.started_at_ms else None,
        "redrive": outcome.redrive,
    }


def build_row(build: Build) -> Row:
    """A build that the gateway accepted, or that a policy asked for."""
    return {
        "id": build.id,
        "at": build.decided_at_ms,
        "repo": cut(build.repo),
        "branch": cut(build.branch),
        "commit": cut(build.commit, 40),
        "expires": build.expires_at_ms,
        "outcome": None,
    }


def foreign_build_row(outcome: Outcome) -> Row:
    """A build that somebody else put on the queue: its outcome is the first that is heard of it."""
    at_ms = outcome.started_at_ms or outcome.ended_at_ms
    cells = {"repo": cut(outcome.service), "branch": "", "commit": "", "expires": 0, "outcome": None}
    return {"id": outcome.id, "at": at_ms, **cells}


def quarantine_row(record: Quarantined) -> Row:
    """A record that could not be read, with the beginning of it."""
    return {
        "id": f"{record.topic_id}/{record.partition}/{record.offset}",
        "at": record.timestamp_ms,
        "place": f"{cut(record.topic)}[{record.partition}]@{record.offset}",
        "reason": cut(record.reason, TEXT),
        "size": record.size,
        "value": record.value[:SHOWN_BYTES].decode("utf-8", "replace") + ("…" if record.size > SHOWN_BYTES else ""),
    }
