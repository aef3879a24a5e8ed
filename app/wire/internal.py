"""Our own topics as the intake reads them: instances, control, outcomes. Plain JSON structs.

instances  {"service": "web", "wanted": 3, "ready": 2, "generation": 17, "at": 1700000000000}
control    {"kind": "policy_set", …} and {"kind": "command", …} as in app/policy/facts.py, without source
outcomes   tasks.contract.Outcome
"""

from typing import Any, TypeVar

import msgspec
from pydantic import ValidationError

from app.policy.facts import Command, Instances, PolicyDocument, PolicySet, Reported, Source, Verb
from app.policy.files import document_of, fingerprint
from app.wire.rules import Raw, Rules, UnreadableError
from app.wire.times import milliseconds
from tasks.contract import Outcome


class _Instances(msgspec.Struct):
    service: str
    wanted: int
    ready: int = 0
    generation: int = 0
    at: int | float | str | None = None


class PolicySetMessage(msgspec.Struct, frozen=True, tag="policy_set", tag_field="kind"):
    """What `headrace policy apply` writes: documents; they are checked, fingerprints computed, never believed."""

    policies: list[PolicyDocument]
    author: str
    message: str
    at_ms: int


class CommandMessage(msgspec.Struct, frozen=True, tag="command", tag_field="kind"):
    """What `headrace pause` and `resume` write."""

    verb: Verb
    service: str
    author: str
    reason: str
    at_ms: int
    until_ms: int = 0


ControlMessage = PolicySetMessage | CommandMessage

T = TypeVar("T")

_instances = msgspec.json.Decoder(_Instances)
_control: msgspec.json.Decoder[ControlMessage] = msgspec.json.Decoder(ControlMessage)
_outcome = msgspec.json.Decoder(Outcome)


def instances(raw: Raw, source: Source, rules: Rules) -> Instances:
    """What an observer says, or UnreadableError."""
    found = _decoded(_instances, raw)
    if not found.service or found.wanted < 0 or found.ready < 0:
        raise UnreadableError("instances need a service and counts that are not negative")
    at_ms = raw.timestamp_ms if found.at is None else milliseconds(found.at)
    if at_ms > rules.now_ms + rules.future_ms:
        raise UnreadableError(f"the observation is {(at_ms - rules.now_ms) / 1000:.0f} s ahead of the clock")
    return Instances(source, found.service, at_ms, found.wanted, found.ready, found.generation)


def control(raw: Raw, source: Source, _rules: Rules) -> PolicySet | Command:
    """A set of policies or a command; a set with a mistake is UnreadableError, and the one in force stays."""
    found = _decoded(_control, raw)
    if isinstance(found, CommandMessage):
        return Command(
            source, found.verb, found.service, found.author, found.reason, found.at_ms, found.until_ms
        )  # fmt: skip
    documents = [_checked(one.document) for one in found.policies]
    names = [one.name for one in documents]
    if len(set(names)) != len(names):
        raise UnreadableError("two policies of the set have one name")
    return PolicySet(source, fingerprint(documents), documents, found.author, found.message, found.at_ms)


def outcomes(raw: Raw, source: Source, _rules: Rules) -> Reported:
    """What became of an action, or UnreadableError."""
    return Reported(source, _decoded(_outcome, raw))


def _checked(plain: dict[str, Any]) -> PolicyDocument:
    try:
        return document_of(plain)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise UnreadableError(f"a policy of the set has a mistake at {place}: {first['msg']}") from None


def _decoded(decoder: msgspec.json.Decoder[T], raw: Raw) -> T:
    assert raw.value is not None
    try:
        return decoder.decode(raw.value)
    except msgspec.MsgspecError as error:
        raise UnreadableError(f"the message cannot be read: {error}") from None
