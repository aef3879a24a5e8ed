"""Words of Kubernetes that the driver and the observer share: annotations, labels, and what a version is. Pure.

Part of the contract, so that the stream side reads what the workers have written. An object is the plain JSON of
the API: what a newer cluster says beyond what we know is carried along and never lost.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

GENERATION: Final = "headrace.dev/generation"
"""Annotation: the newest generation that was applied to a workload; an older one is refused."""

SCALED: Final = "headrace.dev/scaled"
"""Annotation: the last action that scaled the workload, what it found and what that became, as JSON."""

ROLLED_BACK: Final = "headrace.dev/rolled-back"
"""Annotation: the same of the last rollback."""

OURS: Final = frozenset({GENERATION, SCALED, ROLLED_BACK})
"""Every annotation that is ours."""

NAME: Final = "app.kubernetes.io/name"
"""Label that says which service a workload is of."""

VERSION: Final = "app.kubernetes.io/version"
"""Label that says which version runs."""

PLURALS: Final = {"Deployment": "deployments", "StatefulSet": "statefulsets", "ReplicaSet": "replicasets"}
"""Kinds that can be scaled, of the group `apps`, with the names that the API's paths and rights have for them."""

LARGEST: Final = 2**53
"""A generation above this is nobody's: other readers of JSON would round it."""

_TAG: Final = re.compile(r":([^:/@]+)(?:@|$)")
_DEFAULT: Final = "kubectl.kubernetes.io/default-container"


def part(thing: Mapping[str, Any], *path: str) -> Any:
    """What stands at a path of nested objects; None where any of it is missing or null."""
    found: Any = thing
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def generation_of(workload: Mapping[str, Any]) -> int:
    """The generation in the annotations; 0 where there is none, or none that can be."""
    text = part(workload, "metadata", "annotations", GENERATION)
    if not isinstance(text, str) or not (text.isascii() and text.isdecimal()) or len(text) > len(str(LARGEST)):
        return 0
    return int(text) if int(text) < LARGEST else 0


def version_of(pod: Mapping[str, Any]) -> str:
    """The version of a pod or a pod's template: its label, else the tag of its main container's image, else nothing.

    The main container is the one that `kubectl` takes by default. A digest is a version where there is no tag.
    """
    label = part(pod, "metadata", "labels", VERSION)
    if label:
        return str(label)
    containers = part(pod, "spec", "containers") or []
    wished = part(pod, "metadata", "annotations", _DEFAULT)
    main: Mapping[str, Any] = next((one for one in containers if one.get("name") == wished), next(iter(containers), {}))
    image = str(main.get("image") or "").rpartition("/")[2]
    tag = _TAG.search(image.partition("@")[0])
    return tag[1] if tag else image.partition("@")[2]
