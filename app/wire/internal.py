"""Our own topics as the intake reads them: instances, control, outcomes. Plain JSON structs.

instances  {"service": "web", "wanted": 3, "ready": 2, "generation": 17, "at": 1700000000000,
            "instances": [{"name": "web-7", "phase": "Running", "ready": true, …}]}
control    {"kind": "policy_set", …} and {"kind": "command", …} as in app/policy/facts.py, but for what is computed
outcomes   tasks.contract.Outcome

`read` calls it, and the command line encodes the control messages. What is written here by others
is checked as strictly as the users' topics: anybody may write to a topic.
"""

from typing import Any, Final, TypeVar

import msgspec
from pydantic import ValidationError

from app.policy.durations import milli, quantity
from app.policy.facts import (
    Command,
    Direction,
    Instances,
    InstanceSeen,
    PolicyDocument,
    PolicySet,
    Reported,
    Source,
    Verb,
)
from app.policy.files import document_of, fingerprint
from app.policy.together import discords
from app.wire.fields import LARGEST_COUNT, NAME_BYTES, TEXT_BYTES, at_ms, count, decoded, within
from app.wire.rules import Raw, Rules, UnreadableError
from tasks.contract import Outcome


class _Instance(msgspec.Struct):
    name: str
    phase: str = "Running"
    ready: bool | None = True
    started_at: int | float | str | None = None
    ready_since: int | float | str | None = None
    deleted: bool = False
    requests: dict[str, int | float | str] = {}
    restarts: int = 0
    version: str = ""


class _Instances(msgspec.Struct):
    service: str
    wanted: int | None = None
    ready: int = 0
    generation: int = 0
    running: int | None = None
    at: int | float | str | None = None
    instances: list[_Instance] | None = None


class PolicySetMessage(msgspec.Struct, frozen=True, tag="policy_set", tag_field="kind"):
    """What `headrace policy apply` writes: documents; they are checked, fingerprints computed, never believed."""

    policies: list[PolicyDocument]
    author: str
    message: str
    at_ms: int


class CommandMessage(msgspec.Struct, frozen=True, tag="command", tag_field="kind"):
    """What `headrace pause`, `resume`, `silence`, `unsilence` and `dead` write. `until_ms` 0: until it is ended."""

    verb: Verb
    service: str
    author: str
    reason: str
    at_ms: int
    until_ms: int = 0
    alert: str = ""
    direction: Direction = Direction.BOTH
    ids: list[str] = []
    redrive: int = 0


T = TypeVar("T")

MOST_LISTED: Final = 1000
"""Most instances of one service, and ids of one command, that are taken one by one."""

ControlMessage = PolicySetMessage | CommandMessage

_instances = msgspec.json.Decoder(_Instances)
_control: msgspec.json.Decoder[ControlMessage] = msgspec.json.Decoder(ControlMessage)
_outcome = msgspec.json.Decoder(Outcome)


def instances(raw: Raw, source: Source, rules: Rules) -> Instances:
    """What an observer says, or UnreadableError."""
    found = decoded(_instances, raw)
    if found.wanted is None and found.instances is None:
        raise UnreadableError("the message says neither how many are 'wanted' nor which 'instances' there are")
    _few(found.instances or [], "instances")
    return Instances(
        source,
        _service(found.service),
        at_ms(found.at, raw, rules),
        None if found.wanted is None else count(found.wanted, "wanted"),
        count(found.ready, "ready"),
        count(found.generation, "generation"),
        None if found.running is None else count(found.running, "running"),
        None if found.instances is None else [_seen(one, raw, rules) for one in found.instances],
    )


def _seen(one: _Instance, raw: Raw, rules: Rules) -> InstanceSeen:
    """One instance; a change of readiness that nobody dates is as old as the start."""
    started = None if one.started_at is None else at_ms(one.started_at, raw, rules)
    since = (started or 0) if one.ready_since is None else at_ms(one.ready_since, raw, rules)
    requests = {}
    for resource, given in one.requests.items():
        try:
            requests[within(resource, "requests")] = count(milli(quantity(given)), "requests")
        except ValueError as error:
            raise UnreadableError(f"'requests' of an instance: {error}") from None
    return InstanceSeen(
        within(one.name, "name"),
        within(one.phase, "phase"),
        started,
        one.ready,
        since,
        one.deleted,
        requests,
        count(one.restarts, "restarts"),
        within(one.version, "version"),
    )


def control(raw: Raw, source: Source) -> PolicySet | Command:
    """A set of policies or a command; a set with a mistake is UnreadableError, and the one in force stays."""
    found = decoded(_control, raw)
    count(found.at_ms, "at_ms")
    if isinstance(found, CommandMessage):
        count(found.until_ms, "until_ms")
        return Command(
            source,
            found.verb,
            _service(found.service),
            within(found.author, "author"),
            within(found.reason, "reason", TEXT_BYTES),
            found.at_ms,
            found.until_ms,
            within(found.alert, "alert"),
            found.direction,
            [within(one, "ids", NAME_BYTES) for one in _few(found.ids, "ids")],
            count(found.redrive, "redrive"),
        )
    documents = [_checked(one.document) for one in found.policies]
    names = [one.name for one in documents]
    if len(set(names)) != len(names):
        raise UnreadableError("two policies of the set have one name")
    if mistake := next(discords(documents), None):
        raise UnreadableError(f"policy {mistake.name} of the set, at {'.'.join(mistake.path)}: {mistake.message}")
    author, message = within(found.author, "author"), within(found.message, "message", TEXT_BYTES)
    return PolicySet(source, fingerprint(documents), documents, author, message, found.at_ms)


def outcomes(raw: Raw, source: Source) -> Reported:
    """What became of an action, or UnreadableError."""
    outcome = decoded(_outcome, raw)
    _service(outcome.service)
    for field in outcome.__struct_fields__:
        value = getattr(outcome, field)
        if isinstance(value, int):
            count(value, field, least=-LARGEST_COUNT)  # a driver's numbers may be below 0; state must hold them
    return Reported(source, outcome)


def _few(names: list[T], field: str) -> list[T]:
    if len(names) > MOST_LISTED:
        raise UnreadableError(f"there are {len(names)} {field!r}, and at most {MOST_LISTED} are taken")
    return names


def _service(service: str) -> str:
    if not service:
        raise UnreadableError("the message has no 'service'")
    return within(service, "service", NAME_BYTES)


def _checked(plain: dict[str, Any]) -> PolicyDocument:
    try:
        return document_of(plain)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise UnreadableError(f"a policy of the set has a mistake at {place}: {first['msg']}") from None
