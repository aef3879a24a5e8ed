"""The product: one fact after another, and what should happen.

`step` has four callers: the auto-scaler, `headrace replay`, `headrace explain` and the tests.
Nothing else decides. The same records give the same decisions, byte for byte, in any process:
there is no clock, environment, file or random number here; time is on the records.
"""

from fnmatch import fnmatchcase

from app.policy import facts
from app.policy.decision import Decision, Reason
from app.policy.evaluate import evaluate
from app.policy.fold import (
    fold_command,
    fold_instances,
    fold_outcome,
    fold_policies,
    fold_samples,
    is_new,
)
from app.policy.route import take_change, take_deploy
from app.policy.state import State, due
from app.policy.writer import Writer


def step(state: State, record: facts.Record) -> tuple[State, list[Decision]]:
    """The state after a record, and the decisions that it causes.

    Takes ownership of `state`: it is advanced in place, and the one that is returned counts.
    Every record moves time; services that it touches and services whose time has come are looked
    at, in the order of their names.
    """
    state.now_ms = max(state.now_ms, record.timestamp_ms)
    state.next_offset = record.offset + 1
    writer = Writer(state, record)
    touched = set(_fold(state, record.fact, writer))
    for name in sorted(touched.union(due(state))):
        evaluate(state, name, writer, alone=name not in touched)
    return state, writer.decisions


def _fold(state: State, fact: facts.Fact, writer: Writer) -> list[str]:
    """Take the fact into the state; the services that it touches."""
    if isinstance(fact, facts.Samples):
        return fold_samples(state, fact)
    if isinstance(fact, facts.Tick):
        # nobody has read what was not written yet: who says so has a wrong clock, and all would look silent to it
        state.read_until_ms = max(state.read_until_ms, min(fact.read_until_ms, state.now_ms))
    elif isinstance(fact, facts.Genesis):
        state.journal_id, state.partitions = fact.journal_id, fact.partitions
    elif is_new(state, fact.source):
        return _fold_new(state, fact, writer)
    return []


def _fold_new(state: State, fact: facts.Fact, writer: Writer) -> list[str]:
    match fact:
        case facts.Instances():
            fold_instances(state, fact)
            return [fact.service]
        case facts.Reported():
            return [fact.outcome.service] if fold_outcome(state, fact.outcome) else []
        case facts.PolicySet():
            dropped = fold_policies(state, fact)
            _policies_changed(fact, writer)
            for name, alert, decision in dropped:
                writer.write(name, None, Reason.ALERT_DROPPED, {"alert": alert, "decision": decision})
            return list(state.services)
        case facts.Deploy():
            take_deploy(state, fact, writer)
        case facts.Change():
            take_change(state, fact, writer)
        case facts.Command():
            if fact.verb in facts.RECORDED:
                return []
            fold_command(state, fact)
            return [name for name in state.services if fnmatchcase(name, fact.service)]
    return []


def _policies_changed(fact: facts.PolicySet, writer: Writer) -> None:
    evidence = {
        "author": fact.author,
        "message": fact.message,
        "fingerprint": fact.fingerprint,
        "policies": [one.name for one in fact.policies],
    }
    writer.write("*", None, Reason.POLICIES_CHANGED, evidence)
