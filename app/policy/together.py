"""What the policies of one set have to agree on, beyond what each of them has to be. Pure.

Called by `app.policy.files` for files and by `app.wire.internal` for what comes on the control topic.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from app.policy.facts import PolicyDocument
from app.policy.kinds import KINDS
from app.policy.model_alert import AlertPolicy
from app.policy.model_alerting import AlertingPolicy


class Discord(NamedTuple):
    """A mistake of a set: the policy that has it, where in it, and what was expected."""

    name: str
    path: tuple[str, ...]
    message: str


def discords(documents: Sequence[PolicyDocument]) -> Iterator[Discord]:
    """The mistakes of a set of documents, each of which is right by itself."""
    tell = [one for one in documents if one.kind == "Alerting"]
    for one in tell[1:]:
        yield Discord(one.name, ("kind",), f"a set has one Alerting at most, and {tell[0].name!r} is one")
    routed = any(_routes(one) for one in tell)
    for one in documents:
        if one.kind == "Alert" and not routed and _is_untold(one):
            message = "names no receiver, and no Alerting of the set says who is told; name one, or add an Alerting"
            yield Discord(one.name, ("spec", "then", "notify"), message)


def _routes(document: PolicyDocument) -> bool:
    policy = KINDS["Alerting"].model_validate(document.document)
    return isinstance(policy, AlertingPolicy) and policy.spec.mode != "off"


def _is_untold(document: PolicyDocument) -> bool:
    policy = KINDS["Alert"].model_validate(document.document)
    notify = policy.spec.then.notify if isinstance(policy, AlertPolicy) else None
    return notify is not None and not notify.receiver
