"""Which workload of a cluster an action means: `namespace/kind/name`, with what may be left out."""

import re
from collections.abc import Callable
from typing import Final, NamedTuple, Self

from tasks.errors import PermanentError
from tasks.workloads import PLURALS

_KINDS: Final = {kind.lower(): kind for kind in PLURALS} | {plural: kind for kind, plural in PLURALS.items()}
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_NAMESPACE: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class Workload(NamedTuple):
    """A workload; in words it is `Deployment shop/web`."""

    namespace: str
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"

    @classmethod
    def parse(cls, target: str, namespace: Callable[[], str]) -> Self:
        """The workload of a target; PermanentError says how to write one.

        `web` is a Deployment of the usual namespace, `statefulset/web` and `shop/web` leave one out, and
        `shop/StatefulSet/web` says it all. A name is checked here, since it becomes part of a path.
        """
        words = target.split("/")
        kind, place = "Deployment", None
        if len(words) == 2:
            if words[0].lower() in _KINDS:
                kind = words[0]
            else:
                place = words[0]
        elif len(words) == 3:
            place, kind = words[0], words[1]
        known = _KINDS.get(kind.lower())
        right = len(words) <= 3 and known and _NAME.fullmatch(words[-1])
        if not right or not (place is None or _NAMESPACE.fullmatch(place)):
            raise PermanentError(
                f"{target!r} is no workload of Kubernetes; write namespace/kind/name, such as shop/Deployment/web, "
                f"where the kind is one of {', '.join(PLURALS)}"
            )
        assert known is not None
        return cls(namespace() if place is None else place, known, words[-1])
