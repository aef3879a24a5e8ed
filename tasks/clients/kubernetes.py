"""Deployments, StatefulSets and ReplicaSets of a Kubernetes cluster: scaled, and rolled back, once and in order.

The count goes through the scale subresource, with the resource version that was read. That subresource has no
annotations, so the generation is written onto the workload right after it, again with the resource version that the
count was written at: whoever comes between makes one of the two a conflict (409), and then all is read anew. What an
action did is noted beside the generation, so that the same action does nothing when it is repeated. A worker that
dies between the two writes has scaled: the next one finds the count there and notes that.

A rollback is one write, of template and annotations together.
"""

import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

import msgspec

from tasks.clients.cluster import Cluster, Object, StaleError
from tasks.clients.releases import owner_of, patch, release
from tasks.clients.workload import Workload
from tasks.contract import RollBack, Scale
from tasks.errors import ConflictError, PermanentError, TemporaryError
from tasks.workloads import GENERATION, ROLLED_BACK, SCALED, generation_of, part, version_of

TRIES: Final = 8
"""Times a workload is read again that others change meanwhile; a rollout changes it several times a second."""

MOST: Final = 2**31 - 1
"""Most replicas: the API's number has 32 bits."""

T = TypeVar("T")


class Mark(msgspec.Struct, frozen=True):
    """What the last action of its sort did to a workload."""

    id: str
    found: int | str
    became: int | str


class Kubernetes:
    """Scales and rolls back workloads; each refuses an older generation than was applied."""

    def __init__(self, cluster: Cluster, pause: Callable[[float], None] = time.sleep) -> None:
        self._cluster = cluster
        self._pause = pause

    def scale(self, action: Scale) -> tuple[int, int]:
        """Set the replicas; those found and those set, equal if nothing was to be done.

        A scale-up never lowers and a scale-down never raises what it finds. ConflictError if a newer
        generation was applied; TemporaryError and PermanentError by what the API answers.
        """
        if action.to_replicas > MOST:
            raise PermanentError(f"Kubernetes takes at most {MOST} replicas, not {action.to_replicas}")
        began: list[int] = []
        return self._while_stale(action, lambda workload: self._scaled(action, workload, began))

    def applied(self, action: Scale) -> int | None:
        """The replicas that this very action has set, or None if it did not, or another one has since."""
        mark = _mark(self._seen(action), SCALED)
        return int(mark.became) if mark is not None and mark.id == action.id else None

    def roll_back(self, action: RollBack) -> tuple[str, str]:
        """Have a Deployment run a version again; the one found and the one that runs now.

        ConflictError if a newer generation was applied, or another version runs than was to be replaced.
        """
        return self._while_stale(action, lambda workload: self._rolled_back(action, workload))

    def rolled_back(self, action: RollBack) -> str | None:
        """The version that this very action has had run again, or None if it did not, or another one has since."""
        mark = _mark(self._seen(action), ROLLED_BACK)
        return str(mark.became) if mark is not None and mark.id == action.id else None

    def _scaled(self, action: Scale, workload: Workload, began: list[int]) -> tuple[int, int]:
        """One try. `began` has what was found at each write of it: a later try must not find its own work."""
        seen = self._read(workload)
        mark = _mark(seen, SCALED)
        if mark is not None and mark.id == action.id:
            return int(mark.found), int(mark.became)
        _refuse(action, workload, seen)
        found = int(part(seen, "spec", "replicas") or 0)
        up = action.to_replicas > action.from_replicas
        became = max(found, action.to_replicas) if up else min(found, action.to_replicas)
        version = str(seen["metadata"]["resourceVersion"])
        if found != became:
            version = self._cluster.scale(seen, became)
            began.append(found)
        first = began[0] if began else found
        self._cluster.annotate(seen, version, _noted(action, SCALED, first, became))
        return first, became

    def _rolled_back(self, action: RollBack, workload: Workload) -> tuple[str, str]:
        if workload.kind != "Deployment":
            raise PermanentError(f"{workload} cannot be rolled back: only a Deployment keeps what ran before")
        seen = self._read(workload)
        mark = _mark(seen, ROLLED_BACK)
        if mark is not None and mark.id == action.id:
            return str(mark.found), str(mark.became)
        _refuse(action, workload, seen)
        found = version_of(seen["spec"]["template"]) or action.from_version
        ours = _noted(action, ROLLED_BACK, found, action.to_version)
        if found == action.to_version:
            self._cluster.annotate(seen, seen["metadata"]["resourceVersion"], ours)
            return found, found
        if found != action.from_version:
            raise ConflictError(f"version {found} runs by now, which is another one")
        if part(seen, "spec", "paused"):
            raise PermanentError(f"{workload} is paused; resume it first: kubectl rollout resume")
        labels = part(seen, "spec", "selector", "matchLabels") or {}
        replica_sets = self._cluster.labelled("ReplicaSet", workload.namespace, labels)
        self._cluster.edit(seen, patch(seen, release(seen, replica_sets, action.to_version), ours))
        return found, action.to_version

    def _while_stale(self, action: Scale | RollBack, once: Callable[[Workload], T]) -> T:
        """Do it until nobody came between the reading and the writing."""
        workload = self._workload(action)
        for tried in range(TRIES):
            with suppress(StaleError):
                return once(workload)
            self._pause(random.uniform(0, 0.02 * (tried + 1)))  # noqa: S311 - spreads writers
        raise TemporaryError(f"{workload} was changed by others {TRIES} times between reading and writing", 2.0)

    def _workload(self, action: Scale | RollBack) -> Workload:
        return Workload.parse(action.target or action.service, lambda: self._cluster.namespace)

    def _seen(self, action: Scale | RollBack) -> Object:
        return self._read(self._workload(action))

    def _read(self, workload: Workload) -> Object:
        return self._cluster.get(workload.kind, workload.namespace, workload.name)


def _refuse(action: Scale | RollBack, workload: Workload, seen: Object) -> None:
    """Raise if a newer generation was applied, or if the workload is another's to change."""
    if (newest := generation_of(seen)) > action.generation:
        raise ConflictError(f"generation {newest} was applied before")
    owner = owner_of(seen)
    if owner:
        raise PermanentError(f"{workload} is kept by {owner['kind']} {owner['name']}: name that as the target")


def _mark(seen: Object, annotation: str) -> Mark | None:
    """What an annotation notes; None if there is none, or somebody has written something else there."""
    text: Any = part(seen, "metadata", "annotations", annotation)
    try:
        return None if text is None else msgspec.json.decode(text, type=Mark)
    except msgspec.MsgspecError:
        return None


def _noted(action: Scale | RollBack, annotation: str, found: int | str, became: int | str) -> dict[str, str]:
    note = msgspec.json.encode(Mark(action.id, found, became)).decode()
    return {GENERATION: str(action.generation), annotation: note}
