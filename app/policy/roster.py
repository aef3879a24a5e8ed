"""The instances of a service as an observer and its deploy events together tell of them. Pure.

`app.policy.warm` asks which are young, `app.policy.crash` which fail. An observer's own word counts for more; what
it does not know (when an instance started, what it runs) is taken from the deploy events.
"""

from collections.abc import Iterable
from typing import NamedTuple

from app.policy.deployed import Pod
from app.policy.facts import InstanceSeen
from app.policy.state import Service


class Member(NamedTuple):
    """One instance. `started_ms` None: nobody says; `ready` None: nobody says; `address` empty: none is known."""

    name: str
    address: str
    version: str
    started_ms: int | None
    ready: bool | None
    failed: bool
    restarts: int

    def younger_than(self, age_ms: int, now_ms: int) -> bool:
        """Whether it started less than so long ago; one of which nobody says when has run for long."""
        return self.started_ms is not None and now_ms - self.started_ms < age_ms


def roster(service: Service, reporting: Iterable[str] = ()) -> list[Member]:
    """The instances there are: those that an observer lists, else those that report. Ones that go are left out."""
    seen = service.observed.instances if service.observed is not None else None
    if seen is None:
        seen = [InstanceSeen(name, ready=None) for name in reporting]
    pods = _pods(service)
    return [_member(one, pods.get(one.name)) for one in seen if not one.deleted and one.phase != "Succeeded"]


def _pods(service: Service) -> dict[str, tuple[str, Pod]]:
    """The pods of deploy events by name and by address: an instance may be called by either."""
    found: dict[str, tuple[str, Pod]] = {}
    for release in service.releases.values():
        for name, pod in release.pods.items():
            found[name] = (name, pod)
            if pod.address:
                found[pod.address] = (name, pod)
    return found


def _member(seen: InstanceSeen, told: tuple[str, Pod] | None) -> Member:
    name, pod = told if told is not None else ("", Pod("", "", -1))
    started = seen.started_ms
    if started is None and pod.at_ms >= 0 and not pod.stopped:
        started = pod.at_ms
    address = name if seen.name == pod.address else pod.address
    return Member(
        seen.name, address, seen.version or pod.version, started, seen.ready, seen.phase == "Failed", seen.restarts
    )
