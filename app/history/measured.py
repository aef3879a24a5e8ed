"""The metrics in a decision's evidence, in sentences: what each asked for, and what would have changed that. Pure.

Called by `app.history.explain` and `app.history.answers`. Evidence of another engine may lack a word; what is
not there is not said.
"""

from typing import Any

from app.history.words import counted
from app.policy.words import aim

Metric = dict[str, Any]


def metric_line(metric: Metric) -> str:
    """One metric's part in a scaling."""
    line = {"Steps": _stepped, "Backlog": _waiting, "Expression": _computed}.get(metric.get("type", ""), _averaged)
    activation = metric.get("activation")
    return line(metric) + (f"; active above {activation:.6g}" if activation is not None else "")


def calm(metric: Metric, border: float, current: int) -> str:
    """Where the metric would have asked for no change."""
    name, value = metric["name"], metric["value"]
    match metric.get("type"):
        case "Steps":
            return f"with {name} {_outside(metric)} (it was {value:.6g}) it would not have asked for this step"
        case "Backlog":
            return _cleared(metric, current)
    low, high = metric["target"] * (1 - border), metric["target"] * (1 + border)
    return f"with {name} between {low:.6g} and {high:.6g} (it was {value:.6g}) it would have asked for no change"


def change(metric: Metric, border: float, current: int) -> str:
    """Where the metric would ask for a change."""
    match metric.get("type"):
        case "Steps":
            return f"{metric['name']} {_outside(metric)} (it is {metric['value']:.6g}) would be in another range"
        case "Backlog":
            return _cleared(metric, current)
    low, high = metric["target"] * (1 - border), metric["target"] * (1 + border)
    return f"{metric['name']} above {high:.6g} would ask for more replicas, below {low:.6g} for fewer"


def _averaged(metric: Metric) -> str:
    ratio = metric["ratio"]
    shared = f"{metric['name']} averages {metric['value']:.6g}" if ratio is not None else _whole(metric)
    of = f" ({metric['of']})" if metric.get("of") else ""
    return (
        f"{shared}{of} over {metric['instances']} series; "
        f"target {metric['target']:.6g}, {_ratio(ratio)}, so {counted(metric['wanted'], 'replica')}"
    )


def _whole(metric: Metric) -> str:
    """Where no instance is there to share it."""
    return f"{metric['name']} is {metric['value']:.6g} in all"


def _ratio(ratio: float | None) -> str:
    return "no instance to share it" if ratio is None else f"ratio {ratio:.4g}"


def _computed(metric: Metric) -> str:
    name = metric["name"] if metric["name"] != metric["expr"] else f"expression {metric['expr']}"
    calls = ", ".join(f"{call} is {value}" for call, value in metric["values"].items())
    return (
        f"{name} is {metric['value']:.6g}{f' ({calls})' if calls else ''}; "
        f"{aim(metric)}, {_ratio(metric['ratio'])}, so {counted(metric['wanted'], 'replica')}"
    )


def _stepped(metric: Metric) -> str:
    of = f" ({metric['of']})" if metric.get("of") else ""
    low, high = metric["from"], metric["to"]
    ends = (f"from {low:.6g}" if low is not None else "", f"below {high:.6g}" if high is not None else "")
    there = f"in the range {' '.join(filter(None, ends))}" if any(ends) else "in no range"
    return (
        f"{metric['name']} averages {metric['value']:.6g}{of} over {metric['instances']} series, {there}; "
        f"{aim(metric)}, so {counted(metric['wanted'], 'replica')}"
    )


def _waiting(metric: Metric) -> str:
    inflow = f" and {metric['inflow']:.6g} more a second" if metric["inflow"] else ""
    even = f", shared evenly by {metric['partitions']} partitions" if metric.get("partitions") else ""
    clears = metric["clears_s"]
    done = f"done in {clears:.6g}s" if clears is not None else "never done"
    unknown = f" ({metric['unknown']})" if metric.get("unknown") else ""
    needed = counted(metric["needed"], "worker")
    return (
        f"{metric['name']} is {metric['value']:.6g}{inflow}{unknown}; to be {aim(metric)}, "
        f"{metric['per_replica']:.6g} a second each ({metric['per_replica_is']}), it needs {needed}"
        f"{even}, so {counted(metric['wanted'], 'replica')}: {done}"
    )


def _outside(metric: Metric) -> str:
    low, high = metric["from"], metric["to"]
    if low is None and high is None:
        return "within one of the ranges of `steps`"
    ends = (f"below {low:.6g}" if low is not None else "", f"at or above {high:.6g}" if high is not None else "")
    return " or ".join(filter(None, ends))


def _cleared(metric: Metric, current: int) -> str:
    """What so many workers do within the deadline."""
    able = (current * metric["per_replica"] - metric["inflow"]) * metric["deadline_s"]
    team = counted(current, "worker")
    if able < 0:
        return f"{team} cannot do the {metric['inflow']:.6g} a second that come in, whatever waits"
    return (
        f"{team} can do up to {able:.6g} of {metric['name']} (it was {metric['value']:.6g}) within "
        f"{metric['deadline_s']:g}s; more asks for more workers"
    )
