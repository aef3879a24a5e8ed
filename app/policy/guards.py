"""What stands against a scaling that a policy wants. A guard only weakens, and always says why.

Called by `app.policy.settle`: `against` before a scaling, `turned` after it. The first guard that forbids it is the
reason; its evidence is added to the look's.
"""

from typing import Any, NamedTuple

from app.policy.attempt import pending_rollback
from app.policy.crash import crash_of
from app.policy.decision import Reason
from app.policy.facts import Direction
from app.policy.fold import paused
from app.policy.look import Look
from app.policy.release import under_way
from app.policy.state import TURNS, Service, State


class Move(NamedTuple):
    """A scaling that is wanted: of what, which way, and what a deploy may hold it for. `evidence` is added to.

    `hold_ms` is the longest that a deploy holds a service, `ready_ms` how long an instance of which only deploy
    events tell has to run to be taken for ready.
    """

    state: State
    name: str
    service: Service
    up: bool
    hold_ms: int
    ready_ms: int
    evidence: dict[str, Any]


def against(state: State, service: Service, name: str, look: Look) -> Reason | None:
    """What forbids a scaling that a policy of kind Scale wants; the evidence says more."""
    spec = look.policy.spec
    hold_ms, ready_ms = round(1000 * spec.deployHold_s), round(1000 * spec.initialReadinessDelay_s)
    move = Move(state, name, service, look.up, hold_ms, ready_ms, look.evidence)
    return (
        standing(move)
        or _cooling(look, state.now_ms)
        or _flapping(service, look, state.now_ms)
        or (None if look.shadow else pending(move))
    )


def standing(move: Move) -> Reason | None:
    """What forbids any scaling of a service, whoever wants it: people, a rollback, a deploy."""
    return _paused(move) or _rolling_back(move) or _deploying(move)


def pending(move: Move) -> Reason | None:
    """The scaling the same way whose outcome is waited for."""
    found = move.service.pending
    if found is None:
        return None
    if move.state.now_ms >= found.until_ms:
        move.service.pending = None
    elif found.up == move.up:
        move.evidence["pending"] = found.id
        return Reason.BACKING_OFF if found.failed else Reason.SCALE_PENDING
    return None


def turned(service: Service, *, up: bool, now_ms: int) -> None:
    """Note that the service was scaled, and whether that was the other way than before."""
    if service.rose is not None and service.rose != up:
        service.turns.append(now_ms)
        del service.turns[:-TURNS]
    service.rose = up


def pause_of(state: State, name: str, *, up: bool | None) -> dict[str, Any] | None:
    """The pause that keeps a service from being scaled that way, or (None) from being rolled back, as evidence."""
    mine = {Direction.BOTH} if up is None else {Direction.BOTH, Direction.UP if up else Direction.DOWN}
    pause = next((one for one in paused(state, name) if one.direction in mine), None)
    if pause is None:
        return None
    words = {"author": pause.author, "reason": pause.reason, "until_ms": pause.until_ms}
    return words | {"direction": pause.direction.value}


def _paused(move: Move) -> Reason | None:
    pause = pause_of(move.state, move.name, up=move.up)
    if pause is None:
        return None
    move.evidence["paused"] = pause
    return Reason.PAUSED


def _rolling_back(move: Move) -> Reason | None:
    undone = pending_rollback(move.service, move.state.now_ms)
    if undone is None:
        return None
    move.evidence["pending"] = undone.id
    return Reason.ROLLBACK_PENDING


def _deploying(move: Move) -> Reason | None:
    """Fewer replicas wait for the end of a deploy, and more while what it brings crashes."""
    now_ms = move.state.now_ms
    if not move.up:
        deploy = under_way(move.service, move.hold_ms, now_ms)
        if deploy is None or not deploy.held:
            return None
        move.evidence["deploy"] = deploy.evidence()
        return Reason.HELD_BY_DEPLOY
    found = crash_of(move.service, move.hold_ms, move.ready_ms, now_ms)
    if found is None:
        return None
    move.evidence["deploy"], move.evidence["crashing"] = found[0].evidence(), found[1]
    return Reason.CRASHING


def _cooling(look: Look, now_ms: int) -> Reason | None:
    memory, cooldown = look.memory, look.policy.spec.cooldown
    scaled_ms, pause_s = (memory.scaled_up_ms, cooldown.up_s) if look.up else (memory.scaled_down_ms, cooldown.down_s)
    if scaled_ms < 0 or now_ms - scaled_ms >= round(1000 * pause_s):
        return None
    look.evidence["scaled_ms_ago"] = now_ms - scaled_ms
    return Reason.COOLING_DOWN


def _flapping(service: Service, look: Look, now_ms: int) -> Reason | None:
    """Scale-downs wait where the direction turned too often, until enough of the turns are too old to count."""
    flapping = look.policy.spec.flapping
    if look.up or flapping is None or len(service.turns) < flapping.changes:
        return None
    until_ms = service.turns[-flapping.changes] + round(1000 * flapping.within_s)
    if now_ms >= until_ms:
        return None
    since_ms = now_ms - round(1000 * flapping.within_s)
    look.evidence["flapping"] = {"turns_ms": [one for one in service.turns if one > since_ms], "until_ms": until_ms}
    return Reason.FLAPPING
