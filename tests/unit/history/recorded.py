"""A recorded history for the tests: a partition with policies, scalings, refusals and outcomes."""

from app.policy import decision as decisions
from app.policy.state import empty, pack
from app.policy.step import step
from tests.unit.policy.builders import Journal, policy


def history(rounds=6):
    """Records of one partition in which something is decided, in the journal's order."""
    journal = Journal()
    journal.policies(policy(target=60, notify="people"))
    for one in range(rounds):
        journal.instances(3)
        journal.samples(*([92, 95, 90] if one % 2 else [60, 61, 59]), after_s=1.0)
        journal.tick()
        for decided in journal.decisions:
            if decided.action is not None and hasattr(decided.action, "generation"):
                journal.outcome(decided.action)
    return journal


def snapshot_at(records, offset):
    """The packed state before the record at `offset`."""
    state = empty(0)
    for record in records[:offset]:
        state, _ = step(state, record)
    return pack(state)


def recorded(journal):
    """The decisions as they stand on the topic."""
    return [decisions.encode(one) for one in journal.decisions]
