"""The one way an action is done, whatever its kind.

The order of effects is in `run` and nowhere else:
ledger → expired? → lease → act → mark → outcome → (the caller acknowledges).

Called by the Celery tasks in `tasks.main`. What cannot be done now, because its target is away or
held, is given back to the ledger, and a copy of it comes back from a delay queue: no worker waits
with it. Waiting for Redis or for Kafka holds the delivery, since nothing can be done without them.
Nothing is ever requeued, which would count towards the delivery limit.
"""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec
import structlog
from redis import RedisError

from tasks import metrics
from tasks.breaker import Breakers
from tasks.contract import Action, Kind, Outcome, Status, encode, kind_of
from tasks.errors import ConflictError, LostError, PermanentError, RejectedError, TemporaryError
from tasks.incoming import entry_of
from tasks.lease import Heart, Lease
from tasks.ledger import Answer, Claim, Entry, Ledger
from tasks.limits import DEFAULTS, Limit
from tasks.outcomes import Outcomes
from tasks.retry import delay_after, delay_until

log = structlog.get_logger()

BUG_TRIES: Final = 3
ASKS: Final = 5
"""Times a target is asked what a worker that died has done there, before that stays open."""
PATIENCE_S: Final = 1.0
"""Seconds a delivery waits for a lease before a copy of it comes back later."""
DETAIL: Final = 1000
"""Characters of an outcome's detail; a longer one is cut, so that Kafka takes every outcome."""


@dataclass(frozen=True)
class Done:
    """What a plain action function gives back: how it ended, and the driver's numbers before and after."""

    status: Status = Status.DONE
    detail: str = ""
    found: int | None = None
    set: int | None = None


Act = Callable[[Any, Lease], Done]
Ask = Callable[[Any], Done | None]


@dataclass(frozen=True)
class Wait:
    """What a delivery comes to that cannot be done now: a copy of it comes back after so many seconds."""

    delay_s: int


@dataclass
class Runner:
    """What an action needs to be done: the functions by kind, the ledger, the way out, and the way back.

    `asks` find what a worker that died has done, for kinds whose target can be asked; the claim of such a
    kind notes that its effect begins, which spares it a step: if it did not, the target says so. `later` has a
    copy of an action come back after some seconds, as the same redrive and with all that its message said,
    or raises. `too_long` is what the worker raises in an action that is over its time limit: such a one is
    dead. Raised anywhere else it is the caller's, who waits for nobody that long.
    """

    acts: dict[Kind, Act]
    ledger: Ledger
    outcomes: Outcomes
    worker: str
    lease_s: float
    later: Callable[[Action, int, int, Mapping[str, Any]], None]
    asks: dict[Kind, Ask] = field(default_factory=dict)
    breakers: Breakers = field(default_factory=Breakers)
    limits: Mapping[Kind, Limit] = field(default_factory=lambda: DEFAULTS)
    too_long: tuple[type[BaseException], ...] = ()
    sleep: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        self._heart = Heart(self.ledger, self.lease_s)

    def run(self, action: Action, redrive: int = 0, more: Mapping[str, Any] | None = None) -> Outcome | None:
        """Do an action once; its outcome is on Kafka when this returns. One that is DEAD is for the dead letters.

        `more` is what its message says beyond what this version knows. None: it cannot be done now and a copy
        comes back, so this delivery is done with. Raises RejectedError for another payload under a known id:
        the outcome of that id is the first's.
        """
        began_ms = time.time_ns() // 1_000_000
        entry = replace(entry_of(action, more), redrive=redrive)
        outcome = None
        while outcome is None:
            claim = self._claimed(entry, began_ms, begins=kind_of(action) in self.asks)
            ended = self._ended(action, entry, claim)
            if not isinstance(ended, Wait):
                outcome = ended
            elif self._comes_back(action, ended.delay_s, redrive, more or {}):
                return None
        self.outcomes.write(outcome)
        log.info(
            "action", id=outcome.id, kind=outcome.action.value, service=outcome.service, status=outcome.status.value,
            detail=outcome.detail, attempts=outcome.attempts, repeats=outcome.repeats,
        )  # fmt: skip
        return outcome

    def _comes_back(self, action: Action, delay_s: int, redrive: int, more: Mapping[str, Any]) -> bool:
        """Have a copy come back; if RabbitMQ does not take it, this delivery waits here instead."""
        try:
            self.later(action, delay_s, redrive, more)
        except Exception as error:  # noqa: BLE001 - sockets, AMQP and TLS raise what they like
            log.warning("retry_not_published", id=action.id, why=f"{type(error).__name__}: {error}")
            self.sleep(delay_s)
            return False
        return True

    def _claimed(self, entry: Entry, began_ms: int, *, begins: bool) -> Claim:
        """The ledger's answer; "wait" only after a while, since most leases are short."""
        said, waited_s = False, 0.0
        while True:
            try:
                claim = self.ledger.claim(entry, began_ms, begins=begins)
            except RedisError as error:
                if not said:
                    log.warning("ledger_away", id=entry.id, why=str(error))
                said = True
                self.sleep(1.0)
                continue
            if claim.answer is not Answer.WAIT or waited_s >= PATIENCE_S:
                return claim
            pause_s = min(claim.wait_s, 0.5) + random.uniform(0, 0.05)  # noqa: S311 - spreads waiters
            waited_s += pause_s
            self.sleep(pause_s)

    def _ended(self, action: Action, entry: Entry, claim: Claim) -> Outcome | Wait | None:
        """How the action ended, now or before; None if another worker took it over meanwhile: ask again."""
        kind = kind_of(action)
        if claim.answer is Answer.OTHER:
            raise RejectedError(f"another action had the id {action.id} before this one")
        if claim.answer is Answer.WAIT:
            return Wait(delay_until(claim.wait_s))
        if claim.answer is Answer.DONE:
            metrics.REPEATS.labels(kind).inc()
            return msgspec.structs.replace(_outcome(claim.outcome), repeats=claim.repeats)
        if claim.taken_over:
            metrics.TAKEOVERS.labels(kind).inc()
        elif not claim.before:
            metrics.REACTION.labels(kind).observe(max(0, claim.began_ms - action.decided_at_ms) / 1000)
        try:
            noted = claim.answer is Answer.GO and kind in self.asks
            with Lease(self._heart, entry, claim, noted=noted) as lease:
                may = claim.answer is Answer.GO and claim.deaths < self.limits[kind].deaths
                done = self._acted(action, lease, redrive=entry.redrive) if may else self._refused(action, claim)
        except LostError:
            return None
        if isinstance(done, Wait):
            metrics.RETRIES.labels(kind).inc()
            return done if self._released(entry, claim) else None
        final = self._finished(entry, claim, self._said(action, claim, done, entry.redrive))
        if final is None:
            return None
        outcome = _outcome(final)
        metrics.ACTIONS.labels(kind, outcome.status).inc()
        return outcome

    def _acted(self, action: Action, lease: Lease, *, redrive: int) -> Done | Wait:
        claim, tries = lease.claim, self.limits[kind_of(action)].tries * (redrive + 1)
        try:
            return self._tried(action, lambda: self.acts[kind_of(action)](action, lease))
        except TemporaryError as why:
            spent_s = (time.time_ns() // 1_000_000 - claim.began_ms) / 1000
            delay_s = delay_after(claim.token, why.delay_s, (action.expires_at_ms - claim.now_ms) / 1000)
            if delay_s is None or (tries and claim.token >= tries):
                return Done(Status.FAILED, f"given up after {claim.token} tries in {spent_s:.0f} s: {why}")
            log.warning("action_waits", id=action.id, tries=claim.token, delay_s=delay_s, why=str(why))
            return Wait(delay_s)

    def _refused(self, action: Action, claim: Claim) -> Done | Wait:
        """Nothing is done; but if a worker that died had begun it, what became of that is found out."""
        if claim.answer is Answer.LATE:
            late_s = (claim.now_ms - action.expires_at_ms) / 1000
            refusal = Done(Status.EXPIRED, f"{late_s:.1f} s too late to be of use")
        elif claim.answer is Answer.GO:
            refusal = Done(Status.DEAD, f"the {claim.deaths} workers that had it died, one after another")
        else:
            refusal = Done(Status.CONFLICT, f"generation {claim.newest} of its target came before")
        if not claim.started:
            return refusal
        perhaps = replace(refusal, detail=f"{refusal.detail}; a worker that died had begun it, perhaps it was done")
        ask = self.asks.get(kind_of(action))
        if ask is None:
            return perhaps
        for _ in range(ASKS):
            try:
                return self._tried(action, lambda: ask(action) or refusal)
            except TemporaryError as why:
                self.sleep(why.delay_s)
        return perhaps

    def _tried(self, action: Action, call: Callable[[], Done]) -> Done:
        """Call until it ends one way or the other; raises TemporaryError and LostError."""
        bugs = 0
        while True:
            try:
                return self.breakers.call(action, call)
            except ConflictError as why:
                return Done(Status.CONFLICT, str(why))
            except PermanentError as why:
                return Done(Status.FAILED, str(why))
            except (LostError, TemporaryError):
                raise
            except self.too_long as why:
                return Done(Status.DEAD, f"it took longer than a worker has: {why}")
            except Exception as bug:
                bugs += 1
                log.exception("action_bug", id=action.id, tries=bugs)
                if bugs >= BUG_TRIES:
                    return Done(Status.DEAD, f"{type(bug).__name__}: {bug}")
                self.sleep(0.5 * bugs)

    def _released(self, entry: Entry, claim: Claim) -> bool:
        """Give the action back before its copy is under way; False if it is another worker's by now."""
        while True:
            try:
                return self.ledger.release(entry, claim.token)
            except RedisError as error:
                log.warning("ledger_away", id=entry.id, why=str(error))
                self.sleep(1.0)

    def _finished(self, entry: Entry, claim: Claim, outcome: Outcome) -> bytes | None:
        """Mark the end, waiting for Redis if it is away: what was done must not be forgotten."""
        undone = outcome.status not in {Status.DONE, Status.SKIPPED}
        while True:
            try:
                return self.ledger.finish(entry, claim.token, encode(outcome), undone=undone)
            except RedisError as error:
                log.warning("ledger_away", id=entry.id, why=str(error))
                self.sleep(1.0)

    def _said(self, action: Action, claim: Claim, done: Done, redrive: int) -> Outcome:
        return Outcome(
            id=action.id,
            action=kind_of(action),
            service=action.service,
            status=done.status,
            detail=done.detail[:DETAIL],
            found=done.found,
            set=done.set,
            generation=getattr(action, "generation", 0),
            started_at_ms=claim.began_ms,
            ended_at_ms=time.time_ns() // 1_000_000,
            attempts=claim.token,
            worker=self.worker,
            redrive=redrive,
        )


def _outcome(raw: bytes) -> Outcome:
    return msgspec.json.decode(raw, type=Outcome)
