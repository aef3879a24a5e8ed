"""The instances of a service as its samples tell of them: which one a series is of, and how many there are. Pure."""

from collections.abc import Mapping
from functools import lru_cache

from app.policy.state import Service

INSTANCE_LABELS = ("pod", "instance", "host")
"""Labels that name the instance of a series, the first that is there."""


def replicas_of(service: Service) -> int:
    """Replicas now: as observed, else as many label sets as have reported; 0 if nothing is known."""
    if service.observed is not None:
        return service.observed.replicas
    return len({key.partition("\x1f")[2] for key in service.series})


@lru_cache(maxsize=100_000)
def labels_of(key: str) -> Mapping[str, str]:
    """The labels in the name of a series."""
    return dict(part.partition("=")[::2] for part in key.split("\x1f")[1:])


@lru_cache(maxsize=100_000)
def instance_in(key: str) -> str:
    """The instance in the name of a series."""
    return instance_of(labels_of(key))


def instance_of(labels: Mapping[str, str]) -> str:
    """The instance that a series is of."""
    for name in INSTANCE_LABELS:
        if name in labels:
            return labels[name]
    return "\x1f".join(f"{name}={labels[name]}" for name in sorted(labels))
