"""Whether the version that a deploy brings crashes. Pure; called by `app.policy.guards` and
`app.policy.then`.

It does when some instance of it fails and none is ready. What nobody says counts as ready: the guard that asks
forbids scaling up, and must not do so on a guess.
"""

from typing import Any, Final

from app.policy.deployed import Pod, Release
from app.policy.release import UnderWay, all_under_way
from app.policy.roster import Member, roster
from app.policy.state import Service

NAMED: Final = 20
"""Most instances that are named as evidence."""


def crash_of(service: Service, longest_ms: int, grace_ms: int, now_ms: int) -> tuple[UnderWay, dict[str, Any]] | None:
    """The newest deploy that holds the service and whose version crashes, in whatever environment; and what fails."""
    for deploy in all_under_way(service, longest_ms, now_ms):
        if deploy.held and (found := crashing(service, deploy, grace_ms, now_ms)):
            return deploy, found
    return None


def crashing(service: Service, deploy: UnderWay, grace_ms: int, now_ms: int) -> dict[str, Any]:
    """Which instances of the new version fail, if none of it is ready; empty if it does not crash.

    An instance fails that an observer says is Failed, or was started again and is not ready; or of which a deploy
    event said during this deploy that it stopped. One of which only events tell is ready when it has run for
    `grace_ms`.
    """
    release = service.releases.get(deploy.environment) or Release()
    if not deploy.version:
        return {}
    seen = [one for one in roster(service) if one.version == deploy.version]
    observed = service.observed is not None and service.observed.instances is not None
    told = {
        name: pod
        for name, pod in release.pods.items()
        if pod.version == deploy.version and not any(name in {one.name, one.address} for one in seen)
    }
    ready = any(not one.failed and one.ready is not False for one in seen) or (
        not observed and any(not pod.stopped and now_ms - pod.at_ms >= grace_ms for pod in told.values())
    )
    if ready:
        return {}
    failing = [
        one.name for one in seen if one.failed or one.restarts > 0 or _stopped(release, deploy, _pod(release, one))
    ]
    failing += [name for name, pod in told.items() if _stopped(release, deploy, pod)]
    return {"version": deploy.version, "failing": sorted(failing)[:NAMED]} if failing else {}


def _pod(release: Release, one: Member) -> Pod | None:
    return release.pods.get(one.name) or release.pods.get(one.address)


def _stopped(release: Release, deploy: UnderWay, pod: Pod | None) -> bool:
    """Whether a pod stopped during this deploy. Where the version that runs is deployed again its pods do: no crash."""
    return pod is not None and deploy.version != release.version and pod.stopped_ms >= max(0, release.begun_ms)
