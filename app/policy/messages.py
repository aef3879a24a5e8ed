"""What people are told of alerts, in words; and the templates of annotations and webhooks filled in. Pure.

Called by `app.policy.telling` and `app.policy.then`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from app.policy.decision import SENTENCES, Reason
from app.policy.model_alert import AlertPolicy
from app.policy.model_then import TEMPLATE
from tasks.contract import EXPIRY_S, Alerted, Kind, Notify

Values = Mapping[str, float | bool | None]
"""What each call of an expression came to."""

LISTED: Final = 20
"""Most alerts of which a message says more than how many there are."""
LONGEST_TITLE: Final = 250
"""Characters of the longest title."""

_MILD: Final = {"": 1, "none": 0, "info": 0, "warning": 1}
"""How severe a severity is; any other word, like critical, is worse than these."""


@dataclass(frozen=True)
class Told:
    """One alert of a message. `decision` is the one that says what it is; `ends_ms` is as in `Alerted`."""

    policy: AlertPolicy
    values: Values
    since_ms: int
    decision: str
    over: bool
    unknown: bool
    ends_ms: int

    def evidence(self) -> dict[str, Any]:
        """The same as evidence."""
        return {"alert": self.policy.metadata.name, "since_ms": self.since_ms, "values": self.values}

    def summary(self, service: str) -> str:
        """What it is, in a line."""
        text = self.policy.spec.annotations.get("summary")
        return filled(text, self.policy, service, self.values) if text else self.policy.metadata.name

    def line(self, service: str) -> str:
        """What is known of it, in a paragraph."""
        text = self.policy.spec.annotations.get("description", "")
        unknown = SENTENCES[Reason.ALERT_UNKNOWN] if self.unknown else ""
        reason = Reason.ALERT_RESOLVED if self.over else Reason.ALERT_FIRING
        known = ", ".join(f"{call} is {one:.6g}" for call, one in self.values.items() if isinstance(one, float))
        since = datetime.fromtimestamp(self.since_ms // 1000, UTC).strftime("since %Y-%m-%d %H:%M:%S UTC")
        words = [filled(text, self.policy, service, self.values), SENTENCES[reason], unknown, known, since]
        state = "resolved" if self.over else "firing"
        return f"{state}: {self.summary(service)}. {'. '.join(one.rstrip('.') for one in words if one)}."

    def alerted(self, service: str) -> Alerted:
        """The same for a receiver that keeps alerts."""
        texts = self.policy.spec.annotations.items()
        return Alerted(
            labels=self.policy.labels_for(service),
            annotations={name: filled(text, self.policy, service, self.values) for name, text in texts},
            starts_ms=self.since_ms, ends_ms=self.ends_ms,
        )  # fmt: skip

    @property
    def severity(self) -> str:
        """The label of that name."""
        return self.policy.spec.labels.get("severity", "warning")


def notification(service: str, receiver: str, told: Sequence[Told], action_id: str, now_ms: int) -> Notify:
    """One message about the alerts of a service; those that fire come first."""
    firing = [one for one in told if not one.over]
    lines = [one.line(service) for one in told[:LISTED]]
    if len(told) > LISTED:
        lines.append(f"and {len(told) - LISTED} more.")
    severity = max((one.severity for one in firing), key=lambda one: _MILD.get(one, 2), default="info")
    reason = Reason.ALERT_FIRING if firing else Reason.ALERT_RESOLVED
    return Notify(
        id=action_id, service=service, decided_at_ms=now_ms, reason=reason.value,
        expires_at_ms=now_ms + EXPIRY_S[Kind.NOTIFY] * 1000, receiver=receiver,
        title=_title(service, told, len(firing)), body="\n".join([*lines, f"Decision {action_id}."]),
        severity=severity, alerts=[one.alerted(service) for one in told],
    )  # fmt: skip


def _title(service: str, told: Sequence[Told], firing: int) -> str:
    """How many fire and are over, if there are several, and the summaries."""
    over = len(told) - firing
    several = len(told) > 1
    words = [f"firing{f' {firing}' if several else ''}"] if firing else []
    words += [f"resolved{f' {over}' if several else ''}"] if over else []
    title = f"{', '.join(words)}: {service}: {'; '.join(one.summary(service) for one in told)}"
    return title if len(title) <= LONGEST_TITLE else f"{title[: LONGEST_TITLE - 1]}…"


def filled(text: str, policy: AlertPolicy, service: str, values: Values) -> str:
    """A template with its words."""
    labels = policy.labels_for(service)

    def word(name: str) -> str:
        return value_of(values) if name == "$value" else labels.get(name.removeprefix("$labels."), "")

    return TEMPLATE.sub(lambda found: word(found[1]), text)


def value_of(values: Values) -> str:
    """The value that stands for an alert: its first ratio, else its first call that comes to a number."""
    numbers = {call: one for call, one in values.items() if isinstance(one, float)}
    first = next((call for call in numbers if call.startswith("ratio(")), next(iter(numbers), ""))
    return f"{numbers[first]:.6g}" if first else "unknown"
