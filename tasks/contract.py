"""The words shared by the stream and the workers: actions, outcomes, queues, task names.

The workers own them, the policies return them, the router ships them. Nothing here knows
Celery, Faust, Kafka or RabbitMQ. An action is a wished end state, never a change: doing it
twice, or late and then again, gives the same world. No secret is ever in one: receivers,
targets and credentials go by name and the worker looks them up.

Evolution: add fields with empty defaults only, to messages and not inside them: a worker that does not know one does
without it and keeps it in copies. What an older worker must not do has a new `SCHEMA`. Update workers, router, scaler.
"""

from enum import StrEnum
from typing import Final

import msgspec

SCHEMA: Final = 1
"""Version of the messages below. A worker dead-letters a message of a newer one."""

EXCHANGE: Final = "downstream_actions"
"""Topic exchange that every action and every enriched event is published to."""

RETRY_S: Final = (2, 10, 60)
"""Seconds of the delay queues: what cannot be done yet waits there, and no worker with it."""

DEAD_EXCHANGE: Final = "dead_letters"
"""Fanout exchange that RabbitMQ moves rejected and poisonous messages to."""

DEAD_QUEUE: Final = "dead_letters"
"""Quorum queue behind `DEAD_EXCHANGE`: the keeper reads it, writes outcomes, and parks what is there."""

PARKED_QUEUE: Final = "parked"
"""Quorum queue of what the keeper has parked: nothing reads it but `headrace dead`, for people."""

PARKED_HEADER: Final = "x-headrace-parked"
"""Header of a parked message: the JSON of a `Parked`."""

REDRIVE_HEADER: Final = "x-headrace-redrive"
"""Header of a message that somebody sent again from `PARKED_QUEUE`: how often that was done with it."""

UNKNOWN_SERVICE: Final = "unknown"
"""The service of an outcome, and of a record, whose message names none."""


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """What every action carries.

    `id` is the address of the fact that caused it, `<journal id>-<partition>-<offset>-<n>`:
    the Celery task id, the ledger key, the log field. Times are milliseconds since the epoch
    on the journal's clock. `expires_at_ms` is judged by the worker alone, after it asked the
    ledger. `trace` is a W3C traceparent, or empty.
    """

    id: str
    service: str
    decided_at_ms: int
    expires_at_ms: int
    reason: str = ""
    trace: str = ""
    schema: int = SCHEMA


class Scale(Message, frozen=True, kw_only=True, tag="scale", tag_field="kind"):
    """Set a service's wanted replicas to `to_replicas`.

    `generation` orders the scalings of one service: the worker refuses one that is older than
    the newest it has seen applied (an outcome `conflict`). `driver` picks the client, `target`
    is what that client calls the service.
    """

    from_replicas: int
    to_replicas: int
    generation: int
    driver: str = "simulated"
    target: str = ""


class Alerted(msgspec.Struct, frozen=True, kw_only=True):
    """An alert, for a receiver that keeps them: known by its labels, over from `ends_ms` on.

    While it fires, `ends_ms` is when it is to be taken for over if nobody says anything more of it.
    """

    labels: dict[str, str]
    annotations: dict[str, str]
    starts_ms: int
    ends_ms: int


class Notify(Message, frozen=True, kw_only=True, tag="notify", tag_field="kind"):
    """Tell people. `receiver` names an entry of the worker's targets file; `alerts` are what it is about, if any."""

    receiver: str
    title: str
    body: str
    severity: str = "info"
    alerts: list[Alerted] = []


class Build(Message, frozen=True, kw_only=True, tag="build", tag_field="kind"):
    """Build a commit. The job is named by the action id, so that a repeat finds it."""

    repo: str
    branch: str
    commit: str = ""


class UpdateLoadBalancer(Message, frozen=True, kw_only=True, tag="load_balancer", tag_field="kind"):
    """Have a balancer send a service's traffic to exactly these servers.

    `balancer` is a name in the worker's targets file, `backend` what the balancer calls the
    service, `servers` the whole wished set as `IP:port`. `generation` is as in `Scale`.
    """

    balancer: str
    backend: str
    servers: list[str]
    generation: int


class Annotate(Message, frozen=True, kw_only=True, tag="annotate", tag_field="kind"):
    """Mark a moment on a dashboard, which goes by a name in the worker's targets file."""

    dashboard: str
    text: str
    at_ms: int
    tags: list[str] = []


class RecordCost(Message, frozen=True, kw_only=True, tag="cost", tag_field="kind"):
    """Note in a book what a service costs from a moment on: so many replicas at a price.

    `book` and `price` are names that the worker knows: the money is its business.
    """

    book: str
    environment: str
    version: str
    replicas: int
    at_ms: int
    price: str = "default"


class RollBack(Message, frozen=True, kw_only=True, tag="roll_back", tag_field="kind"):
    """Have a service run `to_version` again in an environment, instead of `from_version`.

    `generation`, `driver` and `target` are as in `Scale`: the target is the same, so that a scaling
    and a rollback of one service never run at a time.
    """

    environment: str
    from_version: str
    to_version: str
    generation: int
    driver: str = "simulated"
    target: str = ""


class CallWebhook(Message, frozen=True, kw_only=True, tag="webhook", tag_field="kind"):
    """Post `data` to a webhook, which goes by a name in the worker's targets file.

    Signed as https://www.standardwebhooks.com asks; its `webhook-id` is the action's id, `event` its type.
    """

    webhook: str
    event: str
    data: dict[str, object] = {}


Action = Scale | Notify | Build | UpdateLoadBalancer | Annotate | RecordCost | RollBack | CallWebhook
"""Any action; decode one with `decode_action`."""


class Kind(StrEnum):
    """Kinds of action. The value is the message's tag and the last word of the task's name."""

    SCALE = "scale"
    NOTIFY = "notify"
    BUILD = "build"
    LOAD_BALANCER = "load_balancer"
    ANNOTATE = "annotate"
    COST = "cost"
    ROLL_BACK = "roll_back"
    WEBHOOK = "webhook"


QUEUES: Final[dict[Kind, str]] = {
    Kind.SCALE: "scale",
    Kind.NOTIFY: "notify",
    Kind.BUILD: "build_jobs",
    Kind.LOAD_BALANCER: "load_balancer",
    Kind.ANNOTATE: "dashboard",
    Kind.COST: "cost",
    Kind.ROLL_BACK: "roll_back",
    Kind.WEBHOOK: "webhook",
}
"""One quorum queue per kind, so that a flood of builds cannot delay a scale-up."""

EXPIRY_S: Final[dict[Kind, int]] = {
    Kind.SCALE: 60,
    Kind.NOTIFY: 600,
    Kind.BUILD: 86_400,
    Kind.LOAD_BALANCER: 3600,
    Kind.ANNOTATE: 7 * 86_400,
    Kind.COST: 7 * 86_400,
    Kind.ROLL_BACK: 300,
    Kind.WEBHOOK: 600,
}
"""Seconds after the decision at which an action of a kind is worth nothing any more."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A deploy or a change with what the stream knows of the deployment, for whoever wants to listen.

    Plain JSON on `EXCHANGE` under `event_key`; `message_id` is `id`, the decision that published it.
    `event` is the type it was sent with, such as `deployed`; `at_ms` is its sender's time. `replicas`
    is None where nobody said how many there are. `late`: a newer deploy had come before.
    """

    id: str
    event: str
    service: str
    environment: str
    at_ms: int
    version: str = ""
    previous_version: str = ""
    commit: str = ""
    team: str = ""
    who: str = ""
    link: str = ""
    replicas: int | None = None
    pod: str = ""
    address: str = ""
    what: str = ""
    late: bool = False
    schema: int = SCHEMA


class Status(StrEnum):
    """How an action ended. Final, each of them."""

    DONE = "done"
    FAILED = "failed"  # tried and refused for good
    SKIPPED = "skipped"  # the world was already so
    EXPIRED = "expired"  # too late to be of use: nothing was done
    CONFLICT = "conflict"  # a newer action on the same target came before
    DEAD = "dead"  # the message was dead-lettered: doing it failed by a mistake in the program


class Outcome(msgspec.Struct, frozen=True, kw_only=True, tag="outcome", tag_field="kind"):
    """What became of an action; written to `headrace.outcomes` before its delivery is acknowledged.

    Repeats of one action write the same outcome again; the highest `redrive` is final.
    `found` and `set` are the driver's numbers before and after (replicas for `scale`), or None.
    `started_at_ms` (first line of the first attempt) and `ended_at_ms` are the worker's clock.
    `generation` is the newest applied to the target, for kinds that have one; `repeats` counts
    deliveries that found the action done already.
    """

    id: str
    action: Kind
    service: str
    status: Status
    detail: str = ""
    found: int | None = None
    set: int | None = None
    generation: int = 0
    started_at_ms: int = 0
    ended_at_ms: int = 0
    attempts: int = 1
    repeats: int = 0
    worker: str = ""
    redrive: int = 0


class Parked(msgspec.Struct, frozen=True, kw_only=True):
    """Why a message was dead-lettered. `id`, `kind` and `service` are empty where the message does not say them.

    `why` is RabbitMQ's word (`rejected`, `delivery_limit`, …), `detail` the worker's last if it had one;
    `queue` is where the message was, `routing_key` how it came there.
    """

    at_ms: int
    why: str
    queue: str
    routing_key: str
    id: str = ""
    kind: str = ""
    service: str = ""
    detail: str = ""


_encode = msgspec.json.Encoder().encode
_decoder: msgspec.json.Decoder[Action] = msgspec.json.Decoder(Action)


def encode(message: Action | Outcome | Event | Parked) -> bytes:
    """JSON of an action or an outcome, with its `kind`, or of an event or what is said of a parked message."""
    return _encode(message)


def decode_action(raw: bytes | str) -> Action:
    """The action in `raw`; raises `msgspec.ValidationError` or `msgspec.DecodeError` saying where it is wrong."""
    return _decoder.decode(raw)


def kind_of(action: Action) -> Kind:
    """The kind of an action."""
    return Kind(str(action.__struct_config__.tag))


def task_name(kind: Kind) -> str:
    """Name of the Celery task that does a kind of action; chosen, never derived from a module path."""
    return f"actions.{kind.value}"


def routing_key(kind: Kind, service: str) -> str:
    """Routing key of an action on `EXCHANGE`; queues bind `action.<kind>.#`."""
    return f"action.{kind.value}.{service}"


def event_key(event: Event) -> str:
    """Routing key of an event on `EXCHANGE`: `event.<type>.<environment, or none>.<service>`.

    A type and an environment are one word each: a dot in them becomes `_`. A service may be several.
    RabbitMQ's longest key is 255 bytes: what is longer is cut, the event itself has the whole.
    """
    words = (event.event, event.environment or "none")
    key = ".".join(("event", *(word.replace(".", "_") for word in words), event.service))
    return key.encode()[:255].decode(errors="ignore")


def retry_exchange(delay_s: int) -> str:
    """Exchange (and queue behind it) of one of `RETRY_S`; from there a message comes back to `EXCHANGE`."""
    return f"retry_{delay_s}s"


def action_key(action_id: str) -> str:
    """Redis hash of an action in the ledger: `state`, `owner` (host:pid), `token`, `outcome`."""
    return f"headrace:action:{action_id}"


def target_key(target: str) -> str:
    """Redis hash of what one action at a time may change: `holder` (an action id), `generation`."""
    return f"headrace:target:{target}"


def fleet_key(service: str) -> str:
    """Redis hash of a simulated service: `replicas`, `version`, `generation`, …; its effects are listed in `…:log`."""
    return f"headrace:fleet:{service}"
