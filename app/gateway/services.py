"""One service as its card on the incident page shows it: metrics, replicas, targets. Pure and bounded.

`app.gateway.board` feeds it under its lock. Rows about a service are `app.gateway.rows`' business.
"""

from typing import Any, Final

from app.gateway.lines import Line, Metric
from app.policy.decision import Decision
from app.policy.facts import Direction, Instances
from tasks.contract import Outcome

SHOWN: Final = 4
"""Most metrics of a service that are shown: those that decisions used come first."""

TRACKED: Final = 12
"""Most metrics of a service that are followed, so that one which a decision uses later has a past."""

COUNTED: Final = 1000
"""Most names of metrics that are not followed and yet counted."""

NAME: Final = 120
"""Characters of a name that are kept."""


def cut(text: str, most: int = NAME) -> str:
    """A text of somebody else's, no longer than `most` characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


class Service:
    """What is known of one service. `number` is of its newest change, `heard_ms` the newest word on it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.number = 0
        self.heard_ms = 0
        self._metrics: dict[str, Metric] = {}
        self._others: set[str] = set()
        self._targets: dict[str, float] = {}
        self._replicas = Line()
        self._ready: int | None = None
        self._wanted: int | None = None
        self._reported_ms = self._scaled_ms = 0
        self._paused: dict[Direction, tuple[str, int]] = {}

    def metric(self, name: str) -> Metric | None:
        """The metric to add samples to; None if the service has more than are followed."""
        found = self._metrics.get(name)
        if found is None:
            if len(self._metrics) >= TRACKED:
                if len(self._others) < COUNTED:
                    self._others.add(name)
                return None
            found = self._metrics[name] = Metric()
            self._order(self.number)
        return found

    def instances(self, fact: Instances, number: int) -> None:
        """An observer's word on the replicas."""
        if fact.at_ms < self._reported_ms:
            return
        self._reported_ms = fact.at_ms
        told = fact.wanted is not None and (self._wanted is None or fact.at_ms >= self._scaled_ms)
        wanted = fact.wanted if told else self._wanted
        if wanted is None:
            return
        self._set(wanted, fact.ready, fact.at_ms, number)

    def outcome(self, outcome: Outcome, number: int) -> None:
        """A scaling that was done sets what is wanted; where an observer reports, the instances are its business."""
        if outcome.set is None or outcome.ended_at_ms < self._scaled_ms:
            return
        self._scaled_ms = outcome.ended_at_ms
        if outcome.ended_at_ms > self._reported_ms:
            self._set(outcome.set, self._ready, outcome.ended_at_ms, number)

    def decided(self, decision: Decision, number: int) -> None:
        """Remember which metrics a decision used, and their targets."""
        found: Any = decision.evidence.get("metrics", ())
        for one in found if isinstance(found, list) else ():
            if not isinstance(one, dict):
                continue
            name, target = cut(str(one.get("name", ""))), one.get("target")
            if not isinstance(target, int | float) or self._targets.get(name) == target:
                continue
            if name not in self._targets and len(self._targets) >= SHOWN:
                continue
            self._targets[name] = target
            if name not in self._metrics and len(self._metrics) >= TRACKED:
                self._metrics.pop(next(one for one in reversed(self._metrics) if one not in self._targets))
            self._metrics.setdefault(name, Metric())
            self._order(number)
            self.number = number

    def pause(self, direction: Direction, words: str, until_ms: int, number: int) -> None:
        """Say by whom and why its scaling is paused, and until when (0: until it is resumed); no words: it goes on."""
        if words:
            self._paused[direction] = (words, until_ms)
        else:
            self._paused.clear()
        self.number = number

    def since(self, after: int, number: int) -> dict[str, Any]:
        """Everything that changed after a number: the head, and of each line the points that are new."""
        shown = self._shown()
        for name in shown:
            self._metrics[name].settle(number)
        lines = {}
        for name in shown:
            metric = self._metrics[name]
            at_s, value = metric.line.after(0 if metric.shown_since > after else after)
            if at_s:
                lines[name] = [at_s, value]
        return {
            "name": self.name,
            "heard": self.heard_ms,
            "shown": shown,
            "more": len(self._metrics) - len(shown) + len(self._others),
            "targets": {name: self._targets[name] for name in shown if name in self._targets},
            "ready": self._ready,
            "wanted": self._wanted,
            "paused": [{"words": words, "until": until_ms} for words, until_ms in self._paused.values()],
            "unheard": any(self._metrics[name].refused for name in shown),
            "lines": lines,
            "replicas": self._replicas.after(after),
        }

    def tidy(self, now_s: int, from_s: int) -> None:
        """Thin the past, and drop what is older than the window."""
        for metric in self._metrics.values():
            metric.line.thin(now_s)
            metric.line.forget(from_s)
        self._replicas.keep_last(from_s)

    def _set(self, wanted: int, ready: int | None, at_ms: int, number: int) -> None:
        value = wanted if ready is None else ready
        if (wanted, ready) == (self._wanted, self._ready):
            return
        if not self._replicas.value or self._replicas.value[-1] != value:
            self._replicas.put(at_ms // 1000, value, number)
        self._wanted, self._ready, self.number = wanted, ready, number

    def _shown(self) -> list[str]:
        """Metrics that decisions used, then the others by name."""
        return sorted(self._metrics, key=lambda name: (name not in self._targets, name))[:SHOWN]

    def _order(self, number: int) -> None:
        """Note from when on each shown metric is shown: a reader has seen nothing of it from before."""
        shown = self._shown()
        for name, metric in self._metrics.items():
            if name not in shown:
                metric.shown_since = 0
            elif metric.shown_since == 0:
                metric.shown_since = number + 1
