"""Rolling a deploy back to the version before it: the action, or why there is none.

Called by `app.policy.rollout`, and by whatever else may roll back. One rollback a deploy, one at a time a
service, never to a version that is unknown or bad. It writes no decision and judges no deploy.
"""

from typing import NamedTuple

from app.policy.attempt import condemn, pending_rollback
from app.policy.decision import Reason
from app.policy.deployed import Undone
from app.policy.guards import pause_of
from app.policy.state import Service, State
from tasks.contract import EXPIRY_S, Kind, RollBack


class How(NamedTuple):
    """What a rollback is made of beside what is to be rolled back."""

    action_id: str
    reason: Reason
    driver: str = "simulated"
    target: str = ""


def roll_back(state: State, name: str, environment: str, how: How) -> RollBack | Reason:
    """The action that undoes the newest deploy of a service in an environment, or what stands against it.

    Nothing is remembered: `note` is for that, once the action is decided (and not on trial).
    """
    service, now_ms = state.services[name], state.now_ms
    release = service.releases.get(environment)
    attempt = release.attempt if release is not None else None
    if release is None or attempt is None:
        return Reason.NO_PREVIOUS_VERSION
    if pending_rollback(service, now_ms) is not None:
        return Reason.ROLLBACK_PENDING
    if attempt.undone:
        return Reason.ROLLED_BACK_ALREADY
    if not attempt.back_to or attempt.back_to == attempt.version or attempt.back_to in release.bad:
        return Reason.NO_PREVIOUS_VERSION
    if pause_of(state, name, up=None) is not None:
        return Reason.PAUSED
    return RollBack(
        id=how.action_id, service=name, decided_at_ms=now_ms, reason=how.reason.value,
        expires_at_ms=now_ms + EXPIRY_S[Kind.ROLL_BACK] * 1000, environment=environment,
        from_version=attempt.version, to_version=attempt.back_to,
        generation=max(service.generation + 1, now_ms), driver=how.driver, target=how.target or name,
    )  # fmt: skip


def note(service: Service, action: RollBack, policy: str, receiver: str) -> None:
    """Remember a rollback that was decided: until its outcome nothing else is done, and its deploy is bad for good.

    `receiver` is told what becomes of it, in the name of `policy` (empty: nobody).
    """
    release = service.releases[action.environment]
    assert release.attempt is not None
    release.attempt.undone = action.id
    condemn(release, action.from_version)
    service.generation = action.generation
    service.undone = Undone(
        action.id, action.environment, action.from_version, action.to_version, action.expires_at_ms,
        policy=policy, receiver=receiver,
    )  # fmt: skip
