"""A consumer that no message can stop, and that takes plain JSON jobs for builds and dead letters for the keeper.

Celery's own ends the worker on a message without an id or with a body of another shape, and
acknowledges, that is loses, what it cannot decode. Here all of these are rejected, and RabbitMQ
moves them to the dead letters.
"""

import base64
import json
import uuid
from collections.abc import Callable
from time import time_ns
from typing import Any, ClassVar, Final

import msgspec
import structlog
from celery.worker.consumer import Consumer as CeleryConsumer
from vine import promise as vine_promise

from tasks import metrics
from tasks.contract import DEAD_EXCHANGE, EXPIRY_S, Build, Kind, encode, task_name
from tasks.keeper import TASK, Letter

log = structlog.get_logger()


QUIET: Final = {"without_gossip": True, "without_mingle": True, "without_heartbeat": True}
"""Workers do not talk to each other: that makes queues, which their user may not, and traffic."""


class Consumer(CeleryConsumer):
    """Celery's consumer, with every bad message rejected, and nothing declared on RabbitMQ."""

    class Blueprint(CeleryConsumer.Blueprint):
        """Without Celery's own delay queues, 28 of them: what has to wait does so in ours (`tasks.retry`)."""

        default_steps: ClassVar[list[str]] = [
            "tasks.fetch:Fetch" if step.endswith(":Tasks") else step
            for step in CeleryConsumer.Blueprint.default_steps
            if "delayed_delivery" not in step
        ] + ["tasks.timers:Sweep"]

    def __init__(self, *args: Any, worker_options: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, worker_options=(worker_options or {}) | QUIET, **kwargs)

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Reject what cannot be decoded; Celery would acknowledge it. A dead letter of that kind is kept."""
        if _is_dead(message):
            self._keep(message)
        else:
            self._reject(message, f"it cannot be decoded: {exc}")

    def on_unknown_message(self, _body: Any, message: Any) -> None:
        """Reject what is no task."""
        self._reject(message, "it is no task")

    def on_unknown_task(self, _body: Any, message: Any, exc: Exception) -> None:
        """Reject a task that this worker does not know."""
        self._reject(message, f"the task {exc} is not known")

    def on_invalid_task(self, _body: Any, message: Any, exc: Exception) -> None:
        """Reject a task of a shape that Celery does not know."""
        self._reject(message, f"it is no proper task: {exc}")

    def create_task_handler(self, promise: Any = vine_promise) -> Callable[[Any], Any]:
        """Celery's handler, after plain jobs are made tasks, with whatever it raises turned into a reject."""
        handle = super().create_task_handler(promise)

        def keep(message: Any) -> Any:
            _letter(message)  # whatever it is, it must be kept: nothing is behind this queue
            return handle(message)

        self._keep = keep

        def on_message(message: Any) -> Any:
            if _is_dead(message):
                return keep(message)
            try:
                _plain_job(message)
                return handle(message)
            except self.connection_errors:
                raise
            except Exception as error:  # noqa: BLE001 - no message may end the worker
                self._reject(message, f"{type(error).__name__}: {error}")
                return None

        return on_message

    def _reject(self, message: Any, why: str) -> None:
        metrics.REJECTED.inc()
        log.error("message_rejected", why=why, queue=message.delivery_info.get("routing_key"))
        message.reject_log_error(log, self.connection_errors)


def _is_dead(message: Any) -> bool:
    return bool(message.delivery_info.get("exchange") == DEAD_EXCHANGE)


def _letter(message: Any) -> None:
    """Make a dead letter, as it is, the argument of the keeper's task."""
    raw = message.body.encode() if isinstance(message.body, str) else bytes(message.body)
    headers = dict(message.headers) if isinstance(message.headers, dict) else {}
    if not message.errors:
        headers.pop("compression", None)  # kombu has undone it already
    key = str(message.delivery_info.get("routing_key", ""))
    letter = Letter(base64.b64encode(raw).decode(), key, headers, dict(message.properties))
    task = f"keep-{uuid.uuid4()}"
    # what RabbitMQ adds has times, and what others add may be anything: as text, it can be shown
    message.body = json.dumps([[msgspec.structs.asdict(letter)], {}, {}], default=str)
    message.headers = {"task": TASK, "id": task, "lang": "py", "root_id": task}
    message.content_type, message.content_encoding = "application/json", "utf-8"


class _Job(msgspec.Struct):
    """A plain job, as anybody may publish it."""

    repo: str
    branch: str = "main"
    commit: str = ""


def _plain_job(message: Any) -> None:
    """Make `{"repo": …, "branch": …}` without Celery's headers a build; raises ValueError on one of wrong types.

    Its `message_id` is the action id, so that a repeat is one build; without one each delivery is
    a build of its own, and one whose worker died is delivered again.
    """
    if not isinstance(message.headers, dict) or "task" in message.headers:
        return
    plain = json.loads(message.body)
    if not isinstance(plain, dict) or "repo" not in plain or "task" in plain:
        return
    job = msgspec.convert(plain, _Job)
    now_ms = time_ns() // 1_000_000
    build = Build(
        id=str(message.properties.get("message_id") or uuid.uuid4()),
        service=job.repo,
        decided_at_ms=now_ms,
        expires_at_ms=now_ms + EXPIRY_S[Kind.BUILD] * 1000,
        repo=job.repo,
        branch=job.branch,
        commit=job.commit,
    )
    message.headers.update({"task": task_name(Kind.BUILD), "id": build.id, "lang": "py", "root_id": build.id})
    message.body = json.dumps([[json.loads(encode(build))], {}, {}])
    message.content_type, message.content_encoding = "application/json", "utf-8"
