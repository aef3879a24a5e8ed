"""What the policies of one set have to agree on, beyond what each of them has to be. Pure.

Called by `app.policy.files` for files and by `app.wire.internal` for what comes on the control topic.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from app.policy.facts import PolicyDocument
from app.policy.kinds import KINDS
from app.policy.model_alert import AlertPolicy
from app.policy.model_alerting import AlertingPolicy

LARGEST_WHOLE: Final = 2**53
"""Largest whole number that a policy may say."""


class Discord(NamedTuple):
    """A mistake of a set: the policy that has it, where in it, and what was expected."""

    name: str
    path: tuple[str, ...]
    message: str


def discords(documents: Sequence[PolicyDocument]) -> Iterator[Discord]:
    """The mistakes of a set of documents, each of which is right by itself."""
    for one in documents:
        for path, number in _too_large(one.document):
            yield Discord(one.name, path, f"{str(number)[:20]}… is larger than any number that can be kept")
    tell = [one for one in documents if one.kind == "Alerting"]
    for one in tell[1:]:
        yield Discord(one.name, ("kind",), f"a set has one Alerting at most, and {tell[0].name!r} is one")
    routed = any(_routes(one) for one in tell)
    for one in documents:
        if one.kind == "Alert" and not routed and _is_untold(one):
            message = "names no receiver, and no Alerting of the set says who is told; name one, or add an Alerting"
            yield Discord(one.name, ("spec", "then", "notify"), message)


def _too_large(node: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], int]]:
    """Whole numbers beyond what the state, and every reader of JSON, holds; and where they are."""
    if isinstance(node, int) and not -LARGEST_WHOLE <= node <= LARGEST_WHOLE:
        yield path, node
    elif isinstance(node, dict):
        for key, one in node.items():
            yield from _too_large(one, (*path, str(key)))
    elif isinstance(node, list):
        for place, one in enumerate(node):
            yield from _too_large(one, (*path, str(place)))


def _routes(document: PolicyDocument) -> bool:
    policy = KINDS["Alerting"].model_validate(document.document)
    return isinstance(policy, AlertingPolicy) and policy.spec.mode != "off"


def _is_untold(document: PolicyDocument) -> bool:
    policy = KINDS["Alert"].model_validate(document.document)
    notify = policy.spec.then.notify if isinstance(policy, AlertPolicy) else None
    return notify is not None and not notify.receiver
