"""What stands in a timeline: things that happened, each in one line, with its id and its cause. Pure.

`app.history.timeline` makes entries of facts, decisions and outcomes with it. Texts hold what senders
wrote; whatever does not print is taken out, so that none can start a line or command a terminal.
"""

from typing import Any, Final

import msgspec

from app.history.answers import metrics_of
from app.history.explain import what
from app.history.rollouts import VERDICTS
from app.history.words import moment
from app.policy import facts
from app.policy.decision import SENTENCES, Decision, Reason, place_of
from app.policy.route import TYPES
from app.policy.words import aim
from tasks.contract import Event, Outcome

SHORT: Final = 80
"""Most characters of an action or a cause in a line."""

_PHASES: Final = {
    facts.Phase.STARTED: "deploy started", facts.Phase.FINISHED: "deployed", facts.Phase.FAILED: "deploy failed",
    facts.Phase.ROLLED_BACK: "rolled back", facts.Phase.POD_STARTED: "instance started",
    facts.Phase.POD_STOPPED: "instance stopped", facts.Phase.REMOVED: "removed",
}  # fmt: skip
_BY_TYPE: Final = {name: _PHASES[phase] for phase, name in TYPES.items()}


class Entry(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One thing that happened. `cause` is the id of another entry, or a place on the journal (partition/offset).

    `kind`: deploy, change, policies, command, replicas, metric, action, refusal, alert, verdict or outcome.
    `arrived_ms` is there where it came late.
    """

    at_ms: int
    kind: str
    text: str
    id: str = ""
    cause: str = ""
    arrived_ms: int = 0
    detail: dict[str, Any] = {}


class LeftOut(msgspec.Struct):
    """How many of a kind are not in the account, and the time of the first of them."""

    count: int
    from_ms: int


class Timeline(msgspec.Struct, kw_only=True):
    """The account of a stretch. `metrics` are (time, mean, least, most, instances) a bucket of `bucket_ms`.

    `replicas` are steps of (time, wanted, ready), the last of each 5000th of the stretch.
    `journal_from_ms` is where the journal begins to tell: `from_ms`, or later where it is not kept
    that long or was not written.
    """

    service: str
    from_ms: int
    to_ms: int
    journal_from_ms: int
    bucket_ms: int
    samples: int
    entries: list[Entry]
    metrics: dict[str, list[tuple[int, float, float, float, int]]]
    replicas: list[tuple[int, int, int]]
    left_out: dict[str, LeftOut]


def remarks(found: Timeline) -> list[str]:
    """What an account does not have, a sentence each."""
    said = []
    if found.journal_from_ms > found.from_ms:
        told = f"before {moment(found.journal_from_ms)}" if found.journal_from_ms < found.to_ms else "of this stretch"
        said.append(f"The journal has nothing {told}; what is told of that is from decisions and outcomes alone.")
    for kind, left in found.left_out.items():
        said.append(
            f"{left.count} more of kind {kind}, from {moment(left.from_ms)} on, are left out; "
            "ask for a shorter stretch to see them."
        )
    return said


def line(text: str) -> str:
    """A text in one line of printable characters; any other is a space."""
    return "".join(one if one.isprintable() else " " for one in text)


def short(text: str) -> str:
    """The start of a text that goes on for longer than others care to read."""
    return text.rstrip(".") if len(text) <= SHORT else f"{text[:SHORT].rstrip()}…"


def ordinal(number: int) -> str:
    """`1st`, `2nd`, `3rd`, `4th`."""
    teen = number % 100 in {11, 12, 13}
    return f"{number}{'th' if teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def of_deploy(fact: facts.Deploy) -> Entry:
    """A step in the life of a deploy."""
    words = [_PHASES[fact.phase], fact.pod, fact.version, _where(fact.environment)]
    detail = {"team": fact.team, "commit": fact.commit, "address": fact.address, "link": fact.link, "who": fact.who}
    return Entry(at_ms=fact.at_ms, kind="deploy", text=_joined(words) + _by(fact.who), detail=_said(detail))


def of_change(fact: facts.Change) -> Entry:
    """A change, to the service or to all."""
    everywhere = " (to every service)" if fact.service == "*" else ""
    detail = {"type": fact.type, "who": fact.who, "link": fact.link, "environment": fact.environment}
    return Entry(
        at_ms=fact.at_ms, kind="change", text=f"{fact.what}{_by(fact.who)}{everywhere}", detail=_said(detail)
    )  # fmt: skip


def of_event(event: Event, place: str) -> Entry:
    """A deploy or a change as it was published; what is left where the journal is gone."""
    detail = {"team": event.team, "commit": event.commit, "address": event.address, "link": event.link}
    words = [_BY_TYPE.get(event.event, ""), event.pod, event.version, event.what, _where(event.environment)]
    return Entry(
        at_ms=event.at_ms, kind="deploy" if event.event in _BY_TYPE else "change", id=place,
        text=_joined(words) + _by(event.who), detail=_said(detail | {"who": event.who}),
    )  # fmt: skip


def of_policies(fact: facts.PolicySet) -> Entry:
    """A set of policies that came into force."""
    names = ", ".join(one.name for one in fact.policies) or "none"
    text = f"{fact.author} put policies in force: {names}{f' ({fact.message})' if fact.message else ''}"
    return Entry(at_ms=fact.at_ms, kind="policies", text=text)


def of_command(fact: facts.Command) -> Entry:
    """A person's word, or what one did with dead letters."""
    if fact.verb in facts.RECORDED:
        did = f"sent again, for the {ordinal(fact.redrive)} time," if fact.verb is facts.Verb.REDRIVE else "dropped"
        text = f"{fact.author} {did} {short(', '.join(fact.ids))}: {fact.reason}"
        return Entry(at_ms=fact.at_ms, kind="command", text=text, detail={"ids": fact.ids, "redrive": fact.redrive})
    way = "" if fact.direction is facts.Direction.BOTH else f" scaling {fact.direction.value} of"
    text = f"{fact.author} asked to {fact.verb.value}{way} {fact.service}: {fact.reason}"
    return Entry(at_ms=fact.at_ms, kind="command", text=text)


def of_decision(decision: Decision) -> Entry:
    """An action or a refusal, caused by another decision, an event, or the fact that tipped it."""
    evidence, sentence = decision.evidence, SENTENCES[decision.reason]
    if decision.action is None:
        kind = _kind(decision.reason)
        text = f"{decision.reason.value}: {sentence}"
    else:
        measured = ", ".join(f"{one['name']} {one['value']:.4g}, {aim(one)}" for one in metrics_of(decision))
        shadow = " (on trial: not done)" if decision.shadow else ""
        kind, text = (
            "action",
            f"{short(what(decision.action))}: {sentence}{f' ({measured})' if measured else ''}{shadow}",
        )
    return Entry(
        at_ms=decision.at_ms, kind=kind, text=text, id=decision.id, cause=_cause(decision),
        detail={
            "policy": decision.policy, "reason": decision.reason.value, "evidence": evidence,
            "action": msgspec.to_builtins(decision.action),
        },
    )  # fmt: skip


def of_outcome(outcome: Outcome) -> Entry:
    """What became of an action."""
    again = f", attempt {outcome.attempts}" if outcome.attempts > 1 else ""
    redriven = f", redriven ({outcome.redrive})" if outcome.redrive else ""
    detail = f": {outcome.detail}" if outcome.detail else ""
    return Entry(
        at_ms=outcome.ended_at_ms, kind="outcome", id=f"{outcome.id}/outcome{outcome.redrive or ''}", cause=outcome.id,
        text=f"{outcome.action.value} {outcome.status.value}{detail}{again}{redriven}",
        detail={"status": outcome.status.value, "worker": outcome.worker, "attempts": outcome.attempts},
    )  # fmt: skip


def _kind(reason: Reason) -> str:
    """What a decision without an action is."""
    if VERDICTS.fullmatch(reason.value):
        return "verdict"
    return "alert" if reason.value.startswith("ALERT_") else "refusal"


def _cause(decision: Decision) -> str:
    evidence = decision.evidence
    if decision.reason is Reason.TOLD and evidence.get("decision"):
        return str(evidence["decision"])
    if evidence.get("first"):
        _, partition, offset, _ = place_of(str(evidence["first"]))
        return f"{partition}/{offset}"
    return str(evidence.get("fact", ""))


def _joined(words: list[str]) -> str:
    return " ".join(filter(None, words))


def _where(environment: str) -> str:
    return f"in {environment}" if environment else ""


def _by(who: str) -> str:
    return f" by {who}" if who else ""


def _said(detail: dict[str, str]) -> dict[str, Any]:
    return {name: value for name, value in detail.items() if value}
