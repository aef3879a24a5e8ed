"""Messages that a worker publishes: copies that come back later from a delay queue, and letters that are parked.

`tasks.action` decides when; here is which queue, and the publishing. A copy is the same task with the
same id, so that whatever is delivered twice is known to the ledger.
"""

import base64
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from celery import Celery

from tasks.contract import (
    PARKED_HEADER,
    PARKED_QUEUE,
    REDRIVE_HEADER,
    RETRY_S,
    Action,
    Parked,
    encode,
    kind_of,
    retry_exchange,
    routing_key,
    task_name,
)
from tasks.keeper import Letter

EARLY: Final = 3
"""Tries after which the next one waits in the second queue."""
MANY: Final = 8
"""Tries after which it waits in the last."""


def delay_after(tries: int, asked_s: float, left_s: float) -> int | None:
    """Seconds until the next try: longer after many, no less than asked for where a queue has it, none if too late."""
    least = RETRY_S[0] if tries <= EARLY else RETRY_S[1] if tries <= MANY else RETRY_S[2]
    wanted = next((one for one in RETRY_S if one >= max(asked_s, least)), RETRY_S[-1])
    return max((one for one in RETRY_S if one <= wanted and one < left_s), default=None)


def delay_until(wait_s: float) -> int:
    """Seconds of the queue that comes back when a wait is over or a little before."""
    return max((one for one in RETRY_S if one <= wait_s), default=RETRY_S[0])


class Later:
    """Publishes copies with the worker's own Celery application, confirmed."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def __call__(self, action: Action, delay_s: int, redrive: int, more: Mapping[str, Any]) -> None:
        """Return when RabbitMQ has the copy; raises what kombu raises if it does not take it.

        `more`: fields of the message that this version does not know; a newer worker may get the copy.
        """
        self._app.send_task(
            task_name(kind_of(action)),
            args=[{**more, **_plain(action)}],
            task_id=action.id,
            headers={REDRIVE_HEADER: redrive} if redrive else None,
            exchange=retry_exchange(delay_s),
            routing_key=routing_key(kind_of(action), action.service),
            mandatory=True,
            retry=False,
            ignore_result=True,
        )


class Parking:
    """Publishes dead letters, as they were, to the queue of the parked."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def __call__(self, letter: Letter, parked: Parked) -> None:
        """Return when RabbitMQ has the letter; raises what kombu raises if it does not take it."""
        kept = {name: letter.properties[name] for name in ("message_id", "correlation_id") if name in letter.properties}
        with self._app.producer_pool.acquire(block=True) as producer:
            producer.publish(
                base64.b64decode(letter.body),
                exchange="",
                routing_key=PARKED_QUEUE,
                headers=letter.headers | {PARKED_HEADER: encode(parked).decode()},
                content_type=letter.properties.get("content_type") or "application/octet-stream",
                content_encoding=letter.properties.get("content_encoding") or "binary",
                delivery_mode=2,
                mandatory=True,
                retry=False,
                **kept,
            )


def _plain(action: Action) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(action)
    return plain
