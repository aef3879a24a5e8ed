"""The one way an action is done, whatever its kind.

The order of effects is in `run` and nowhere else:
ledger → expired? → lease → act → mark → outcome → (the caller acknowledges).

Called by the Celery tasks in `tasks.main`. Waiting for a lease, for Redis or for Kafka holds the
delivery; nothing is ever requeued, which would count towards the delivery limit.
"""

import hashlib
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import structlog
from redis import RedisError

from tasks import metrics
from tasks.contract import SCHEMA, Action, Kind, Outcome, Scale, Status, encode, kind_of
from tasks.errors import ConflictError, LostError, PermanentError, TemporaryError
from tasks.lease import Lease
from tasks.ledger import Answer, Claim, Entry, Ledger
from tasks.outcomes import Outcomes

log = structlog.get_logger()

BUG_TRIES: Final = 3


@dataclass(frozen=True)
class Done:
    """What a plain action function gives back: how it ended, and the driver's numbers before and after."""

    status: Status = Status.DONE
    detail: str = ""
    found: int | None = None
    set: int | None = None


Act = Callable[[Any, Lease], Done]


class UnreadableError(Exception):
    """The message is no action of a version that this worker knows."""


@dataclass
class Runner:
    """What an action needs to be done: the functions by kind, the ledger, the way out, and patience."""

    acts: dict[Kind, Act]
    ledger: Ledger
    outcomes: Outcomes
    worker: str
    lease_s: float
    patience_s: float
    sleep: Callable[[float], None] = time.sleep
    _started: dict[str, int] = field(default_factory=dict)

    def run(self, action: Action) -> Outcome:
        """Do an action once; its outcome is on Kafka when this returns. DEAD is for the dead letters."""
        started_ms = _now_ms()
        entry = entry_of(action)
        claim = self._claimed(entry)
        kind = kind_of(action)
        if claim.answer is Answer.DONE:
            metrics.REPEATS.labels(kind).inc()
            outcome = msgspec.structs.replace(msgspec.json.decode(claim.outcome, type=Outcome), repeats=claim.repeats)
        elif claim.answer is Answer.OTHER:
            outcome = self._outcome(action, Done(Status.DEAD, "another payload had this id first"), started_ms)
        else:
            metrics.REACTION.labels(kind).observe(max(0, started_ms - action.decided_at_ms) / 1000)
            outcome = self._done(action, entry, claim, started_ms)
        self.outcomes.write(outcome)
        self._say(outcome, claim)
        return outcome

    def _claimed(self, entry: Entry) -> Claim:
        """The ledger's answer, when it has one that is not "wait"."""
        said = False
        while True:
            try:
                claim = self.ledger.claim(entry)
            except RedisError as error:
                if not said:
                    log.warning("ledger_away", id=entry.id, why=str(error))
                said = True
                self.sleep(1.0)
                continue
            if claim.answer is not Answer.WAIT:
                return claim
            self.sleep(min(claim.wait_s, 0.5) + random.uniform(0, 0.05))  # noqa: S311 - spreads waiters

    def _done(self, action: Action, entry: Entry, claim: Claim, started_ms: int) -> Outcome:
        """Act under the lease and mark the end; if the lease is lost, what its new owner says counts."""
        if claim.answer is Answer.OLDER:
            entry = Entry(entry.id, entry.payload)
            done = Done(Status.CONFLICT, f"generation {claim.generation} was applied before")
            claim = self._claimed(entry)
        else:
            done = self._acted(action, entry, claim)
        outcome = self._outcome(action, done, started_ms, attempts=claim.token)
        final = self._finished(entry, claim, encode(outcome))
        if final is None:
            return self.run(action)
        return msgspec.json.decode(final, type=Outcome)

    def _acted(self, action: Action, entry: Entry, claim: Claim) -> Done:
        if claim.token > 1:
            metrics.TAKEOVERS.labels(kind_of(action)).inc()
        if claim.now_ms >= action.expires_at_ms:
            late_s = (claim.now_ms - action.expires_at_ms) / 1000
            return Done(Status.EXPIRED, f"{late_s:.1f} s too late to be of use")
        lease = Lease(self.ledger, entry, claim, self.lease_s)
        with lease:
            return self._tried(action, lease, claim)

    def _tried(self, action: Action, lease: Lease, claim: Claim) -> Done:
        """Call the action's function until it ends one way or the other."""
        began, bugs = time.monotonic(), 0
        while True:
            try:
                return self.acts[kind_of(action)](action, lease)
            except ConflictError as why:
                return Done(Status.CONFLICT, str(why))
            except PermanentError as why:
                return Done(Status.FAILED, str(why))
            except LostError:
                return Done(Status.FAILED, "the lease was lost")  # is not marked: finish refuses the old token
            except TemporaryError as why:
                waited_s = time.monotonic() - began
                left_s = min(self.patience_s - waited_s, (action.expires_at_ms - claim.now_ms) / 1000 - waited_s)
                if left_s <= why.delay_s:
                    return Done(Status.FAILED, f"given up after {waited_s:.0f} s: {why}")
                self.sleep(why.delay_s * random.uniform(1.0, 1.5))  # noqa: S311 - spreads retries
            except Exception as bug:
                bugs += 1
                log.exception("action_bug", id=action.id, tries=bugs)
                if bugs >= BUG_TRIES:
                    return Done(Status.DEAD, f"{type(bug).__name__}: {bug}")
                self.sleep(0.5 * bugs)

    def _finished(self, entry: Entry, claim: Claim, outcome: bytes) -> bytes | None:
        """Mark the end, waiting for Redis if it is away: what was done must not be forgotten."""
        while True:
            try:
                return self.ledger.finish(entry, claim.token, outcome)
            except RedisError as error:
                log.warning("ledger_away", id=entry.id, why=str(error))
                self.sleep(1.0)

    def _outcome(self, action: Action, done: Done, started_ms: int, *, attempts: int = 1) -> Outcome:
        return Outcome(
            id=action.id,
            action=kind_of(action),
            service=action.service,
            status=done.status,
            detail=done.detail,
            found=done.found,
            set=done.set,
            generation=action.generation if isinstance(action, Scale) else 0,
            started_at_ms=started_ms,
            ended_at_ms=_now_ms(),
            attempts=attempts,
            worker=self.worker,
        )

    def _say(self, outcome: Outcome, claim: Claim) -> None:
        if claim.answer is not Answer.DONE:
            metrics.ACTIONS.labels(outcome.action, outcome.status).inc()
        log.info(
            "action", id=outcome.id, kind=outcome.action.value, service=outcome.service, status=outcome.status.value,
            detail=outcome.detail, attempts=outcome.attempts, repeats=outcome.repeats,
        )  # fmt: skip


def decoded(argument: object) -> Action:
    """The action in a task's argument; raises UnreadableError that says what is wrong."""
    try:
        action: Action = msgspec.convert(argument, Action)
    except msgspec.ValidationError as error:
        raise UnreadableError(str(error)) from None
    if action.schema > SCHEMA:
        raise UnreadableError(f"schema {action.schema} is newer than this worker's {SCHEMA}: update the worker")
    return action


def entry_of(action: Action) -> Entry:
    """What an action claims in the ledger: its id, and for a scaling its target and generation."""
    payload = hashlib.sha256(encode(action)).hexdigest()[:16]
    if isinstance(action, Scale):
        return Entry(action.id, payload, f"{action.driver}:{action.target or action.service}", action.generation)
    return Entry(action.id, payload)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
