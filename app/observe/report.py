"""What is told of a workload of Kubernetes and its Pods: one message of the topic `instances`. Pure.

The observer calls it. Objects are the plain JSON of the API; `app.wire.internal` reads what is made here.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

from app.policy.durations import milli, quantity
from app.wire.internal import MOST_LISTED
from tasks.workloads import NAME, generation_of, part, version_of

Object = Mapping[str, Any]
Message = dict[str, Any]

_READY: Final = {"True": True, "False": False}


class Pods:
    """Pods by namespace and label, so that those of a workload are found without looking at all."""

    def __init__(self, pods: Iterable[Object]) -> None:
        self._by_label: dict[tuple[str, str, str], list[Object]] = defaultdict(list)
        self._by_namespace: dict[str, list[Object]] = defaultdict(list)
        for pod in pods:
            namespace = pod["metadata"]["namespace"]
            self._by_namespace[namespace].append(pod)
            for name, value in (part(pod, "metadata", "labels") or {}).items():
                self._by_label[namespace, name, value].append(pod)

    def of(self, workload: Object) -> list[Object]:
        """The Pods that a workload selects, in the order of their names."""
        namespace = workload["metadata"]["namespace"]
        wanted = part(workload, "spec", "selector", "matchLabels") or {}
        rules = part(workload, "spec", "selector", "matchExpressions") or []
        some = self._by_namespace[namespace]
        if wanted:
            some = self._by_label[(namespace, *next(iter(wanted.items())))]
        found = [pod for pod in some if _selected(part(pod, "metadata", "labels") or {}, wanted, rules)]
        return sorted(found, key=lambda pod: str(pod["metadata"]["name"]))


def service_of(workload: Object) -> str:
    """The service: the label `app.kubernetes.io/name`, or the workload's own name."""
    return str(part(workload, "metadata", "labels", NAME) or workload["metadata"]["name"])


def report(workload: Object, pods: list[Object], generation: int = 0) -> Message:
    """What is told, but for the time. Of more Pods than the intake takes there are only the counts.

    `generation` is the newest that was seen on this workload before: an annotation may be lost, what was seen is not.
    """
    wanted = part(workload, "spec", "replicas")
    told: Message = {
        "service": service_of(workload),
        "wanted": 1 if wanted is None else int(wanted),
        "ready": int(part(workload, "status", "readyReplicas") or 0),
        "running": int(part(workload, "status", "replicas") or 0),
        "generation": max(generation, generation_of(workload)),
    }
    if len(pods) <= MOST_LISTED:
        told["instances"] = [_instance(pod) for pod in pods]
    return told


def _instance(pod: Object) -> Message:
    meta, status = pod["metadata"], pod.get("status") or {}
    ready: Object = next((one for one in status.get("conditions") or [] if one.get("type") == "Ready"), {})
    told = {
        "name": meta["name"],
        "phase": status.get("phase") or "Unknown",
        "ready": _READY.get(str(ready.get("status"))) if ready else False,
        "started_at": status.get("startTime"),
        "ready_since": ready.get("lastTransitionTime"),
        "deleted": "deletionTimestamp" in meta,
        "requests": _requests(pod),
        "restarts": sum(int(one.get("restartCount") or 0) for one in status.get("containerStatuses") or []),
        "version": version_of(pod),
    }
    return {name: value for name, value in told.items() if value is not None or name == "ready"}


def _requests(pod: Object) -> dict[str, str]:
    """What a Pod requests of each resource, as the sum of its containers; not where one of them does not say."""
    whole = part(pod, "spec", "resources", "requests") or {}
    each = [part(one, "resources", "requests") or {} for one in part(pod, "spec", "containers") or []]
    lasting = part(pod, "spec", "initContainers") or []  # one that is always restarted runs beside the others
    each += [part(one, "resources", "requests") or {} for one in lasting if one.get("restartPolicy") == "Always"]
    found = {}
    for resource in sorted(set(whole).union(*each)):
        parts = [whole] if resource in whole else each
        try:
            found[resource] = f"{sum(milli(quantity(one[resource])) for one in parts)}m"
        except (KeyError, ValueError):
            continue
    return found


def _selected(labels: Mapping[str, str], wanted: Mapping[str, str], rules: Iterable[Object]) -> bool:
    return all(labels.get(name) == value for name, value in wanted.items()) and all(
        _holds(labels, one) for one in rules
    )


def _holds(labels: Mapping[str, str], rule: Object) -> bool:
    value, values = labels.get(rule["key"]), rule.get("values") or []
    match rule["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case _:  # DoesNotExist
            return value is None
