"""What a Deployment can be rolled back to, and the patch that does it, as `kubectl rollout undo` has them. Pure.

The driver of Kubernetes calls it. The versions that can run again are those of the ReplicaSets that the Deployment
keeps (`revisionHistoryLimit`); the newest of a version counts.
"""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any, Final

from tasks.errors import PermanentError
from tasks.workloads import OURS, part, version_of

REVISION: Final = "deployment.kubernetes.io/revision"

HASH: Final = "pod-template-hash"
"""Label that the controller gives each ReplicaSet's pods; a Deployment's template must not have it."""

KEPT: Final = OURS | {
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    "deployment.kubernetes.io/revision-history",
    "deployment.kubernetes.io/desired-replicas",
    "deployment.kubernetes.io/max-replicas",
    "deprecated.deployment.rollback.to",
}
"""Annotations that stay the Deployment's own; all others are those of the ReplicaSet, as `kubectl` has it."""

Object = Mapping[str, Any]


def kept(deployment: Object, replica_sets: Iterable[Object]) -> list[Object]:
    """The ReplicaSets of a Deployment, newest first; those with its labels that are another's are left out."""
    uid = deployment["metadata"]["uid"]
    mine = [one for one in replica_sets if owner_of(one).get("uid") == uid]
    return sorted(mine, key=_revision, reverse=True)


def owner_of(thing: Object) -> Object:
    """The owner that controls an object; empty if none does."""
    owners = part(thing, "metadata", "ownerReferences") or []
    return next((one for one in owners if one.get("controller")), {})


def release(deployment: Object, replica_sets: Iterable[Object], version: str) -> Object:
    """The ReplicaSet to go back to; PermanentError, with the versions that there are, if none is of that version."""
    name, mine = deployment["metadata"]["name"], kept(deployment, replica_sets)
    for one in mine:
        if version_of(one["spec"]["template"]) == version:
            return one
    there = ", ".join(dict.fromkeys(version_of(one["spec"]["template"]) or "one without" for one in mine)) or "none"
    raise PermanentError(
        f"Deployment {name} keeps no ReplicaSet of version {version}; there are {there}. A version is the label "
        "app.kubernetes.io/version of the template, or its image's tag; revisionHistoryLimit says how many are kept"
    )


def patch(deployment: Object, replica_set: Object, ours: Mapping[str, str]) -> list[dict[str, Any]]:
    """The JSON patch that has a Deployment run a ReplicaSet's template again, with annotations of ours."""
    template = deepcopy(replica_set["spec"]["template"])
    (part(template, "metadata", "labels") or {}).pop(HASH, None)
    before = part(deployment, "metadata", "annotations") or {}
    restored = part(replica_set, "metadata", "annotations") or {}
    annotations = {name: text for name, text in before.items() if name in KEPT}
    annotations |= {name: text for name, text in restored.items() if name not in KEPT}
    return [
        {"op": "replace", "path": "/spec/template", "value": template},
        {"op": "add", "path": "/metadata/annotations", "value": annotations | dict(ours)},
    ]


def _revision(replica_set: Object) -> int:
    text = part(replica_set, "metadata", "annotations", REVISION)
    return int(text) if isinstance(text, str) and text.isdecimal() else 0
