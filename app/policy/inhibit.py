"""Which alert inhibits another of the same service, as Alertmanager's inhibition. Pure.

Called by `app.policy.telling`. An alert that matches both sides of a rule is not inhibited by one that
does so too, itself included.
"""

from collections.abc import Iterable, Mapping

from app.policy.matchers import all_hold
from app.policy.model_alerting import InhibitRule


def inhibitor(rules: Iterable[InhibitRule], labels: Mapping[str, str], firing: Mapping[str, Mapping[str, str]]) -> str:
    """The first of the alerts that fire (name → labels) that inhibits one with such labels; empty if none does."""
    for rule in rules:
        if not all_hold(rule.target, labels):
            continue
        both = all_hold(rule.source, labels)
        for name, other in firing.items():
            if not all_hold(rule.source, other) or (both and all_hold(rule.target, other)):
                continue
            if all(labels.get(label, "") == other.get(label, "") for label in rule.equal):
                return name
    return ""
