"""Facts, decisions and outcomes put on a board, as the tests of it do."""

from app.policy.decision import Decision, Reason
from app.policy.facts import (
    Record,
    Samples,
    Series,
    Source,
)  # fmt: skip
from tasks.contract import Kind, Outcome, Scale, Status

T0 = 1_700_000_000_000
SOURCE = Source("metrics", "id", 0, 0, 0)


def put(board, fact, at_ms=T0, offset=0, partition=0):
    board.fact(Record(partition, offset, at_ms, fact))


def pack(*samples):
    """A pack of (service, name, host, at_ms, value)."""
    series = [Series(service, name, {"host": host}) for service, name, host, _, _ in samples]
    zeros = [0] * len(samples)
    return Samples(
        SOURCE, series, list(range(len(samples))), [s[3] for s in samples], [s[4] for s in samples], zeros, zeros
    )


def scale(board, id_="j-0-1-0", service="web", at_ms=T0, to=3):
    action = Scale(
        id=id_, service=service, decided_at_ms=at_ms, expires_at_ms=at_ms + 60_000,
        from_replicas=2, to_replicas=to, generation=at_ms,
    )  # fmt: skip
    evidence = {"metrics": [{"name": "cpu", "value": 92.0, "target": 60.0}]}
    board.decision(decision(id_, service, Reason.ABOVE_TARGET, at_ms, evidence, action=action))


def decision(id_, service="web", reason=Reason.HELD, at_ms=T0, evidence=None, **more):
    return Decision(
        id=id_, at_ms=at_ms, service=service, policy="p", fingerprint="f", reason=reason, evidence=evidence or {},
        **more,
    )  # fmt: skip


def outcome(id_="j-0-1-0", status=Status.DONE, kind=Kind.SCALE, **more):
    return Outcome(id=id_, action=kind, service="web", status=status, **{"set": 3, "ended_at_ms": T0 + 500} | more)


def service(board, name="web", after=0):
    return next(one for one in board.since(after)["services"] if one["name"] == name)
