"""One metric of a decision's evidence in a few words, for a notification, a list, a page. Pure.

Called by `app.policy.settle` and by whoever shows decisions; `app.history.measured` has whole sentences.
"""

from collections.abc import Mapping
from typing import Any


def aim(metric: Mapping[str, Any]) -> str:
    """What stands beside the value: the target, the step, or the deadline."""
    match metric.get("type"):
        case "Steps":
            return f"step {metric['change']:+d}" if metric["change"] else "no step"
        case "Backlog":
            return f"done within {metric['deadline_s']:g}s"
    return f"target {metric['target']:g}"


def cause(metric: Mapping[str, Any], *, up: bool) -> str:
    """Why there are more replicas, or fewer."""
    seen = f"{metric['name']} {metric['value']:.4g}"
    match metric.get("type"):
        case "Steps":
            return f"{seen} asks for a step of {metric['change']:+d}"
        case "Backlog":
            able = "needs" if up else "needs no more than"
            return f"{seen} {able} {metric['wanted']} workers to be done within {metric['deadline_s']:g}s"
    return f"{seen} is {'above' if up else 'below'} {metric['target']:.4g}"
