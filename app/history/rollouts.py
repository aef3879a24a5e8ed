"""Verdicts on deploys in sentences: each objective's part, and what would have had to be different. Pure.

Called by `app.history.answers` and `app.history.explain`. It reads the evidence and judges nothing itself.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from app.policy.decision import Decision, Reason

Answer = Callable[[Decision, object], list[str]]


def objectives_of(decision: Decision) -> list[dict[str, Any]]:
    """The objectives in a decision's evidence."""
    found: Any = decision.evidence.get("objectives", [])
    return [one for one in found if isinstance(one, dict)]


def objective_line(one: dict[str, Any]) -> str:
    """One objective's part in a verdict."""
    key = ", a key objective" if one.get("key_sli") else ""
    if one["result"] == "info":
        return f"{one['sli']} is {number(one['value'])}, before {number(one['baseline'])}: for information"
    return (
        f"{one['sli']} is {number(one['value'])}, before {number(one['baseline'])}: {one['result']} "
        f"(to pass {one['pass']}{key}), {one['score']:g} of {one['weight']}"
    )


def number(value: object) -> str:
    """A value as people read it; of what is no number, that it is unknown."""
    return f"{value:.6g}" if isinstance(value, int | float) else "unknown"


def _points(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) else "that of the policy"


def _verdict(decision: Decision, _: object) -> list[str]:
    """The bounds that were missed, and the scores that would have changed the verdict."""
    said = []
    for one in objectives_of(decision):
        if one["result"] == "unknown":
            compared = "" if one["baseline"] is not None else ", and one from before the deploy"
            said.append(f"{one['sli']} has to have a value{compared}: {one['expr']}")
        elif one["result"] in {"fail", "warning"}:
            said.append(f"{one['sli']} would have to be {one['pass']} to pass")
    total: Any = decision.evidence.get("total_score") or {}
    said.append(f"a score from {_points(total.get('pass'))} on passes, one below {_points(total.get('warning'))} fails")
    return said


def _sentences(*said: str) -> Answer:
    return lambda decision, _: [one.format(**_words(decision)) for one in said]


def _words(decision: Decision) -> dict[str, Any]:
    evidence: dict[str, Any] = dict(decision.evidence)
    deploy: Any = evidence.get("deploy") or {}
    words = {"version": deploy.get("version") or "the version", "back_to": deploy.get("back_to") or "a good version"}
    more = {"pending": evidence.get("pending"), "by": evidence.get("by") or "another event"}
    return words | more | {"decision": evidence.get("decision"), "policy": decision.policy}


VERDICTS: Final = re.compile("ROLLOUT_.*|DEPLOY_FAILED|ROLLBACK_(DONE|FAILED|UNANSWERED)")
"""Reasons that say how a deploy stands: without an action they are no refusal."""

ANSWERS: Final[dict[Reason, Answer]] = {
    Reason.ROLLOUT_WATCHED: _sentences("every deploy that policy {policy} is meant for is watched"),
    Reason.ROLLOUT_PASSED: _verdict,
    Reason.ROLLOUT_WARNED: _verdict,
    Reason.ROLLOUT_FAILED: _verdict,
    Reason.ROLLOUT_UNKNOWN: _verdict,
    Reason.ROLLOUT_STALLED: _sentences(
        "an event that {version} was deployed, or failed, before the policy's `deadline`; it is judged if one comes yet"
    ),
    Reason.DEPLOY_FAILED: _sentences("an event that {version} was deployed would have had it judged"),
    Reason.ROLLOUT_SUPERSEDED: _sentences("{version} would have been judged, had {by} not begun within the `window`"),
    Reason.ROLLOUT_ENDED: _sentences("{version} would have been judged, had it not been for {by}"),
    Reason.ROLLOUT_DROPPED: _sentences("the policy would have to be in force, and meant for it, until the verdict"),
    Reason.ALREADY_WATCHED: _sentences("an event that a deploy of {version} started makes it a new one"),
    Reason.OWN_ROLLBACK: _sentences("a deploy of any version but {version} would be watched"),
    Reason.NO_PREVIOUS_VERSION: _sentences(
        "an event that another version was deployed before it, one that neither failed nor was rolled back from"
    ),
    Reason.ROLLED_BACK_ALREADY: _sentences("a new deploy may be rolled back again; this one is for people now"),
    Reason.ROLLBACK_PENDING: _sentences("action {pending} has to report its outcome, or to expire"),
    Reason.ROLLBACK_DONE: _sentences("it is the outcome of action {decision}"),
    Reason.ROLLBACK_FAILED: _sentences("somebody has to put {back_to} in place: action {decision} did not"),
    Reason.ROLLBACK_UNANSWERED: _sentences(
        "the workers would have to report what became of action {decision}; look which version runs"
    ),
}
"""What would have had to be different, for every reason of a rollout or a rollback."""
