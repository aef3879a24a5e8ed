"""The keeper of the dead letters: each gets its outcome, is parked, and can be sent again by people.

A Celery worker that listens to the queue `dead_letters` does this beside its actions: `tasks.consumer`
makes a `Letter` of what RabbitMQ has moved there, whatever it is, and a task of that. The order is
ledger → outcome → parked → (the caller acknowledges). Nothing here does an action.
"""

import base64
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec
import structlog

from tasks import metrics
from tasks.contract import REDRIVE_HEADER, UNKNOWN_SERVICE, Action, Kind, Outcome, Parked, Status, encode, kind_of
from tasks.errors import RejectedError
from tasks.incoming import LONGEST, beyond, decoded, entry_of
from tasks.ledger import Answer, Entry, Ledger
from tasks.outcomes import Outcomes

log = structlog.get_logger()

TASK: Final = "keeper.park"
"""Name of the task that parks one letter; nobody publishes it."""


class Letter(msgspec.Struct, frozen=True):
    """A dead-lettered message as RabbitMQ gave it; `body` is in base64."""

    body: str
    routing_key: str
    headers: dict[str, Any] = {}
    properties: dict[str, Any] = {}


def redrive_of(headers: dict[str, Any] | None) -> int:
    """How often a message was sent again; 0 for what is no count."""
    found = (headers or {}).get(REDRIVE_HEADER, 0)
    return found if isinstance(found, int) and not isinstance(found, bool) and found > 0 else 0


@dataclass
class Keeper:
    """Keeps letters. `park` publishes to the parked queue, confirmed, or raises."""

    ledger: Ledger
    outcomes: Outcomes
    park: Callable[[Letter, Parked], None]
    worker: str
    sleep: Callable[[float], None] = time.sleep

    def keep(self, letter: Letter) -> Parked:
        """Write the outcome of a letter's action, if it has one of its own, and park it; waits as long as it takes."""
        action, entry = _action(letter)
        parked = _parked(letter, action)
        outcome = self._held(lambda: self._outcome(parked, entry, redrive_of(letter.headers)))
        if outcome is not None:
            self.outcomes.write(outcome)
            parked = msgspec.structs.replace(parked, detail=outcome.detail)
        self._held(lambda: self.park(letter, parked))
        metrics.PARKED.labels(parked.kind or "unknown").inc()
        log.error("parked", **msgspec.to_builtins(parked))
        return parked

    def _held(self, call: Callable[[], Any]) -> Any:
        """Call until Redis and RabbitMQ do their part: the delivery is held meanwhile."""
        while True:
            try:
                return call()
            except Exception as error:  # noqa: BLE001 - what is not parked would be lost
                log.warning("keeper_waits", why=f"{type(error).__name__}: {error}")
                self.sleep(1.0)

    def _outcome(self, parked: Parked, entry: Entry | None, redrive: int) -> Outcome | None:
        """The outcome that counts; None where it is another message's, or nobody's."""
        made = self._made(parked, redrive)
        if entry is None:
            # not marked: a message of the same id that can be read may come yet, and that one counts
            return None if made is None or self.ledger.knows(parked.id) else made
        entry = replace(entry, redrive=redrive)
        while True:
            assert made is not None
            claim = self.ledger.bury(entry, encode(made))
            if claim.answer is Answer.OTHER:
                return None
            if claim.answer is Answer.DONE:
                return msgspec.json.decode(claim.outcome, type=Outcome)
            self.sleep(min(claim.wait_s, 1.0))

    def _made(self, parked: Parked, redrive: int) -> Outcome | None:
        if not (parked.id and parked.kind):
            return None
        why = {
            "rejected": "no worker can read the message",
            "delivery_limit": "the workers that had it died, one after another",
        }
        return Outcome(
            id=parked.id, action=Kind(parked.kind), service=parked.service or UNKNOWN_SERVICE, status=Status.DEAD,
            detail=why.get(parked.why, f"dead-lettered by RabbitMQ: {parked.why}"), ended_at_ms=parked.at_ms,
            worker=self.worker, attempts=0, redrive=redrive,
        )  # fmt: skip


def _action(letter: Letter) -> tuple[Action, Entry] | tuple[None, None]:
    """The action in a letter and what it claims, if a worker could read it."""
    try:
        argument = json.loads(base64.b64decode(letter.body))[0][0]
        action = decoded(argument)
        return action, entry_of(action, beyond(argument, action))
    except (RejectedError, ValueError, LookupError, TypeError, RecursionError):
        return None, None


def _parked(letter: Letter, action: Action | None) -> Parked:
    """What can be said of a letter: by its action, else by its headers and its way."""
    deaths = letter.headers.get("x-death")
    death = deaths[0] if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict) else {}
    at_ms, why = time.time_ns() // 1_000_000, str(death.get("reason", ""))
    queue, key = str(death.get("queue", "")), letter.routing_key
    if action is not None:
        kind, service, id_ = kind_of(action).value, action.service, action.id
    else:
        _, kind, service = (*key.split(".", 2), "", "")[:3]
        task = str(letter.headers.get("task", ""))
        kind = kind if key.startswith("action.") else task.removeprefix("actions.")
        kind = kind if kind in set(Kind) else ""
        service = service if key.startswith("action.") else ""
        id_ = str(letter.headers.get("id") or letter.properties.get("message_id") or "")[:LONGEST]
    return Parked(at_ms=at_ms, why=why, queue=queue, routing_key=key, id=id_, kind=kind, service=service)
