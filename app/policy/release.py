"""Deploy events folded into what is known of a service in one environment. No decision is made here.

Called by `app.policy.route`. Events come twice, late and out of order: each is judged by its
sender's time, and one that is older than what it speaks of changes nothing but what is known
about its version.
"""

from typing import Any, Final, NamedTuple

from app.policy.deployed import About, Pod, Release
from app.policy.facts import Deploy, Phase
from app.policy.state import Service

ENVIRONMENTS: Final = 20
"""Most environments of one service that are kept, the last heard of."""
VERSIONS: Final = 8
"""Most versions of which is kept what was said about them."""
PODS: Final = 1000
"""Most instances of one service in one environment that are kept."""

FINISHES: Final = frozenset({Phase.FINISHED, Phase.ROLLED_BACK})
"""Phases after which a version is the one that runs."""


def release_of(service: Service, environment: str) -> Release:
    """What is known of a service in an environment; made if nothing is. The one asked for last is kept longest."""
    release = service.releases.pop(environment, None) or Release()
    service.releases[environment] = release
    while len(service.releases) > ENVIRONMENTS:
        del service.releases[next(iter(service.releases))]
    return release


def version_of(release: Release, fact: Deploy) -> str:
    """The version that an event is about: its own word, else the one under way, else the one that runs."""
    if not fact.version and fact.phase in {Phase.POD_STARTED, Phase.POD_STOPPED} and fact.pod in release.pods:
        return release.pods[fact.pod].version
    return fact.version or release.announced or release.version


def is_late(release: Release, fact: Deploy) -> bool:
    """Whether something newer has been said before about the same thing."""
    if fact.phase not in {Phase.POD_STARTED, Phase.POD_STOPPED}:
        return fact.at_ms < release.at_ms
    known = release.pods.get(_name(fact))
    if known is not None and fact.at_ms < known.at_ms:
        return True
    current = version_of(release, fact) in {release.version, release.announced}
    return fact.phase is Phase.POD_STARTED and not current and fact.at_ms < release.at_ms


def remember(release: Release, fact: Deploy, version: str) -> About:
    """Keep what the event says about its version; what is known about it then. A team outlives its versions."""
    known = release.abouts.pop(version, None)
    if known is None:
        known = About(team=next((one.team for one in reversed(release.abouts.values()) if one.team), ""))
    for field in ("commit", "team", "who", "link"):
        setattr(known, field, getattr(fact, field) or getattr(known, field))
    release.abouts[version] = known
    while len(release.abouts) > VERSIONS:
        del release.abouts[next(iter(release.abouts))]
    return known


def fold_deploy(release: Release, fact: Deploy, version: str, now_ms: int) -> None:
    """Take in an event that is not late."""
    match fact.phase:
        case Phase.STARTED:
            release.announced, release.since_ms, release.begun_ms = version, now_ms, fact.at_ms
        case Phase.FAILED:
            release.announced, release.since_ms, release.begun_ms = "", -1, -1
        case Phase.FINISHED | Phase.ROLLED_BACK:
            _finish(release, fact, version)
        case Phase.REMOVED:
            _replace(release, "", fact.at_ms)
            release.pods.clear()
        case Phase.POD_STARTED:
            _keep(release, fact, Pod(fact.address, version, fact.at_ms))
        case Phase.POD_STOPPED:
            _keep(release, fact, Pod("", version, fact.at_ms, stopped=True, stopped_ms=fact.at_ms))


class UnderWay(NamedTuple):
    """A deploy that has not ended: of what, since when, and until when it holds the service. `held`: it does now."""

    version: str
    environment: str
    since_ms: int
    until_ms: int
    held: bool

    def evidence(self) -> dict[str, Any]:
        """The same as evidence."""
        return self._asdict()


def under_way(service: Service, longest_ms: int, now_ms: int) -> UnderWay | None:
    """The deploy of a service that began last and has not ended, and whether the service is held for it."""
    return next(iter(all_under_way(service, longest_ms, now_ms)), None)


def all_under_way(service: Service, longest_ms: int, now_ms: int) -> list[UnderWay]:
    """The deploys of a service that have not ended, in all environments, the newest first.

    The only place that says whether a service is held. A deploy that does not end holds no longer than
    `longest_ms`; with 0 none ever does. One that a policy watches has ended when it is judged, or when that it
    does not finish was told.
    """
    if longest_ms <= 0 or not (service.releases or service.watches):
        return []
    found = [
        (one.since_ms, name, one.announced)
        for name, one in service.releases.items()
        if one.since_ms >= 0 and not (one.attempt is not None and one.attempt.stalled)
    ]
    found += [
        (one.began_ms, key.partition("\x1f")[2], one.version) for key, one in service.watches.items() if one.holds
    ]
    return [
        UnderWay(version, environment, since_ms, since_ms + longest_ms, now_ms < since_ms + longest_ms)
        for since_ms, environment, version in sorted(set(found), reverse=True)
    ]


def addresses(release: Release) -> list[str]:
    """Where the instances are that can be served from, sorted."""
    return sorted({pod.address for pod in release.pods.values() if pod.address})


def running(release: Release) -> int:
    """How many instances run, as far as deploy events tell."""
    return sum(not pod.stopped for pod in release.pods.values())


def _finish(release: Release, fact: Deploy, version: str) -> None:
    """A version runs now: instances of others are gone, but not if none of its own is known."""
    _replace(release, version, fact.at_ms)
    mine = {name: pod for name, pod in release.pods.items() if pod.version == version}
    if any(pod.address for pod in mine.values()):
        release.pods = mine


def _replace(release: Release, version: str, at_ms: int) -> None:
    if version != release.version:
        release.previous, release.version = release.version, version
    release.at_ms, release.announced, release.since_ms, release.begun_ms = at_ms, "", -1, -1


def _keep(release: Release, fact: Deploy, pod: Pod) -> None:
    name = _name(fact)
    if not name:
        return  # an instance without a name or an address cannot be told from another
    known = release.pods.pop(name, None)
    if known is not None and known.version == pod.version and not pod.stopped:
        pod.stopped_ms = known.stopped_ms  # it was started again
    release.pods[name] = pod
    while len(release.pods) > PODS:
        stopped = (one for one, kept in release.pods.items() if kept.stopped)
        del release.pods[next(stopped, next(iter(release.pods)))]


def _name(fact: Deploy) -> str:
    return fact.pod or fact.address
