"""The one way an action is done, whatever its kind.

The order of effects is in `run` and nowhere else:
ledger → expired? → lease → act → mark → outcome → (the caller acknowledges).

Called by the Celery tasks in `tasks.main`. Waiting for a lease, for Redis or for Kafka holds the
delivery; nothing is ever requeued, which would count towards the delivery limit.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec
import structlog
from redis import RedisError

from tasks import metrics
from tasks.contract import Action, Kind, Outcome, Scale, Status, encode, kind_of
from tasks.errors import ConflictError, LostError, PermanentError, RejectedError, TemporaryError
from tasks.incoming import entry_of
from tasks.lease import Lease
from tasks.ledger import Answer, Claim, Entry, Ledger
from tasks.outcomes import Outcomes

log = structlog.get_logger()

BUG_TRIES: Final = 3
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


@dataclass
class Runner:
    """What an action needs to be done: the functions by kind, the ledger, the way out, and patience.

    `asks` find what a worker that died has done, for kinds whose target can be asked.
    """

    acts: dict[Kind, Act]
    ledger: Ledger
    outcomes: Outcomes
    worker: str
    lease_s: float
    patience_s: float
    asks: dict[Kind, Ask] = field(default_factory=dict)
    sleep: Callable[[float], None] = time.sleep

    def run(self, action: Action) -> Outcome:
        """Do an action once; its outcome is on Kafka when this returns. One that is DEAD is for the dead letters.

        Raises RejectedError for another payload under a known id: the outcome of that id is the first's.
        """
        began_ms = time.time_ns() // 1_000_000
        entry = entry_of(action)
        outcome = None
        while outcome is None:
            claim = self._claimed(entry, began_ms)
            outcome = self._ended(action, entry, claim)
        self.outcomes.write(outcome)
        log.info(
            "action", id=outcome.id, kind=outcome.action.value, service=outcome.service, status=outcome.status.value,
            detail=outcome.detail, attempts=outcome.attempts, repeats=outcome.repeats,
        )  # fmt: skip
        return outcome

    def _claimed(self, entry: Entry, began_ms: int) -> Claim:
        """The ledger's answer, when it has one that is not "wait"."""
        said = False
        while True:
            try:
                claim = self.ledger.claim(entry, began_ms)
            except RedisError as error:
                if not said:
                    log.warning("ledger_away", id=entry.id, why=str(error))
                said = True
                self.sleep(1.0)
                continue
            if claim.answer is not Answer.WAIT:
                return claim
            self.sleep(min(claim.wait_s, 0.5) + random.uniform(0, 0.05))  # noqa: S311 - spreads waiters

    def _ended(self, action: Action, entry: Entry, claim: Claim) -> Outcome | None:
        """How the action ended, now or before; None if another worker took it over meanwhile: ask again."""
        kind = kind_of(action)
        if claim.answer is Answer.OTHER:
            raise RejectedError(f"another action had the id {action.id} before this one")
        if claim.answer is Answer.DONE:
            metrics.REPEATS.labels(kind).inc()
            return msgspec.structs.replace(_outcome(claim.outcome), repeats=claim.repeats)
        if claim.token > 1:
            metrics.TAKEOVERS.labels(kind).inc()
        else:
            metrics.REACTION.labels(kind).observe(max(0, claim.began_ms - action.decided_at_ms) / 1000)
        try:
            with Lease(self.ledger, entry, claim, self.lease_s) as lease:
                done = self._acted(action, lease) if claim.answer is Answer.GO else self._refused(action, claim)
        except LostError:
            return None
        final = self._finished(entry, claim, encode(self._said(action, claim, done)))
        if final is None:
            return None
        outcome = _outcome(final)
        metrics.ACTIONS.labels(kind, outcome.status).inc()
        return outcome

    def _acted(self, action: Action, lease: Lease) -> Done:
        left_s = (action.expires_at_ms - lease.claim.now_ms) / 1000
        return self._tried(action.id, lambda: self.acts[kind_of(action)](action, lease), min(self.patience_s, left_s))

    def _refused(self, action: Action, claim: Claim) -> Done:
        """Nothing is done; but if a worker that died had begun it, what became of that is found out."""
        if claim.answer is Answer.LATE:
            late_s = (claim.now_ms - action.expires_at_ms) / 1000
            refusal = Done(Status.EXPIRED, f"{late_s:.1f} s too late to be of use")
        else:
            refusal = Done(Status.CONFLICT, f"generation {claim.newest} of its target came before")
        if not claim.started:
            return refusal
        ask = self.asks.get(kind_of(action))
        if ask is None:
            return replace(refusal, detail=f"{refusal.detail}; a worker that died had begun it, perhaps it was done")
        return self._tried(action.id, lambda: ask(action) or refusal, self.patience_s)

    def _tried(self, action_id: str, call: Callable[[], Done], longest_s: float) -> Done:
        """Call until it ends one way or the other; raises LostError."""
        began, bugs = time.monotonic(), 0
        while True:
            try:
                return call()
            except ConflictError as why:
                return Done(Status.CONFLICT, str(why))
            except PermanentError as why:
                return Done(Status.FAILED, str(why))
            except LostError:
                raise
            except TemporaryError as why:
                waited_s = time.monotonic() - began
                pause_s = why.delay_s * random.uniform(1.0, 1.5)  # noqa: S311 - spreads retries
                if longest_s - waited_s <= pause_s:
                    return Done(Status.FAILED, f"given up after {waited_s:.0f} s: {why}")
                self.sleep(pause_s)
            except Exception as bug:
                bugs += 1
                log.exception("action_bug", id=action_id, tries=bugs)
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

    def _said(self, action: Action, claim: Claim, done: Done) -> Outcome:
        return Outcome(
            id=action.id,
            action=kind_of(action),
            service=action.service,
            status=done.status,
            detail=done.detail[:DETAIL],
            found=done.found,
            set=done.set,
            generation=action.generation if isinstance(action, Scale) else 0,
            started_at_ms=claim.began_ms,
            ended_at_ms=time.time_ns() // 1_000_000,
            attempts=claim.token,
            worker=self.worker,
        )


def _outcome(raw: bytes) -> Outcome:
    return msgspec.json.decode(raw, type=Outcome)
