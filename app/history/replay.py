"""Replay: the recorded facts decided again, and compared with what was recorded, byte for byte.

Called by `headrace replay` and by tests. Pure: records and decisions come as they are given;
reading them is the business of `app.history.journal` and `app.history.recorded`. "Byte for byte"
holds for one engine version, which every decision carries.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from app.history.journal import HistoryError, ordered
from app.policy.decision import ENGINE, Decision, encode, place_of
from app.policy.facts import PolicyDocument, PolicySet, Record, Source, Tick
from app.policy.files import fingerprint
from app.policy.fold import fold_outcome, fold_policies
from app.policy.state import State, empty
from app.policy.step import step
from tasks.contract import Kind, Outcome, RollBack, Scale, Status


def replay(records: Iterable[Record], states: dict[int, State], *, instant: bool = False) -> Iterator[Decision]:
    """What the engine decides about these records; each partition in its order.

    `states` are where the partitions start, by partition; one without starts at its beginning.
    They are taken over and advanced. `instant`: each scaling and rollback that is decided is done at once, whatever
    the records say became of it. Raises HistoryError where records are missing.
    """
    for record in ordered(records, states):
        state = states.setdefault(record.partition, empty(record.partition))
        states[record.partition], decided = step(state, record)
        if instant:
            _done(states[record.partition], decided)
        yield from decided


def _done(state: State, decided: Iterable[Decision]) -> None:
    """Have each scaling and each rollback done, and known, at the moment it was decided."""
    for one in decided:
        if isinstance(one.action, Scale) and not one.shadow:
            scale = one.action
            fold_outcome(
                state,
                Outcome(
                    id=scale.id, action=Kind.SCALE, service=scale.service, status=Status.DONE,
                    set=scale.to_replicas, generation=scale.generation, ended_at_ms=state.now_ms,
                ),
            )  # fmt: skip
        elif isinstance(one.action, RollBack) and not one.shadow:
            back = one.action
            fold_outcome(
                state,
                Outcome(
                    id=back.id, action=Kind.ROLL_BACK, service=back.service, status=Status.DONE,
                    generation=back.generation, ended_at_ms=state.now_ms,
                ),
            )  # fmt: skip


def with_policies(
    records: Iterable[Record], states: dict[int, State], policies: Sequence[PolicyDocument]
) -> Iterator[Record]:
    """The same records under other policies: in force from the start, whatever sets were put in force then.

    A recorded set becomes the mere passing of time, so that every other record keeps its place.
    """
    nowhere = Source("", "", 0, 0, 0)
    instead = PolicySet(nowhere, fingerprint(policies), list(policies), "", "", 0)
    seen: set[int] = set()
    for record in records:
        if record.partition not in seen:
            seen.add(record.partition)
            fold_policies(states.setdefault(record.partition, empty(record.partition)), instead)
        fact = Tick(0) if isinstance(record.fact, PolicySet) else record.fact
        yield msgspec.structs.replace(record, fact=fact)


@dataclass
class Comparison:
    """What a comparison found. `difference` is empty when all is equal.

    `repeats` counts decisions that were recorded more than once with the same bytes, which a
    crash may cause and the workers' ledger makes harmless.
    """

    decisions: int = 0
    repeats: int = 0
    difference: str = ""
    recorded_bytes: bytes = b""
    replayed_bytes: bytes = b""


@dataclass
class _Recorded:
    """Recorded decisions by id, with those that contradict each other."""

    by_id: dict[str, bytes] = field(default_factory=dict)
    repeats: int = 0
    contradiction: str = ""


def compare(
    replayed: Iterable[Decision], recorded: Iterable[bytes], within: Mapping[int, tuple[int, int]]
) -> Comparison:
    """Replayed decisions beside recorded ones (bytes as on the topic).

    Only decisions about journal offsets `within` (partition → first, next) count; the recorded
    ones may come in any order. Raises HistoryError if a recorded one cannot be read.
    """
    found = _collected(recorded, within)
    result = Comparison(repeats=found.repeats, difference=found.contradiction)
    for decision in replayed:
        if result.difference:
            return result
        _, partition, offset, _ = place_of(decision.id)
        if not _inside(partition, offset, within):
            continue
        mine, theirs = encode(decision), found.by_id.pop(decision.id, b"")
        if mine != theirs:
            what = "was recorded otherwise" if theirs else "was not recorded"
            result.difference = f"decision {decision.id} {what}{_engine(theirs)}"
            result.recorded_bytes, result.replayed_bytes = theirs, mine
            return result
        result.decisions += 1
    if found.by_id and not result.difference:
        first = min(found.by_id, key=lambda one: place_of(one)[1:])
        result.difference = (
            f"decision {first} was recorded, but the replay does not make it{_engine(found.by_id[first])}"
        )
        result.recorded_bytes = found.by_id[first]
    return result


def _collected(recorded: Iterable[bytes], within: Mapping[int, tuple[int, int]]) -> _Recorded:
    found = _Recorded()
    for raw in recorded:
        decision_id = identity(raw).id
        _, partition, offset, _ = place_of(decision_id)
        if not _inside(partition, offset, within):
            continue
        if decision_id not in found.by_id:
            found.by_id[decision_id] = raw
        elif found.by_id[decision_id] == raw:
            found.repeats += 1
        else:
            found.contradiction = found.contradiction or f"decision {decision_id} was recorded twice, with two contents"
    return found


class Identity(msgspec.Struct):
    """What identifies a recorded decision, whatever version wrote the rest of it."""

    id: str
    service: str = ""
    engine: str = ""


_identity = msgspec.json.Decoder(Identity).decode


def identity(raw: bytes) -> Identity:
    """Id, service and engine of a recorded decision; raises HistoryError if it is none."""
    try:
        found = _identity(raw)
        place_of(found.id)
    except (msgspec.MsgspecError, ValueError) as error:
        raise HistoryError(f"a recorded decision cannot be read: {error}") from error
    return found


def _engine(raw: bytes) -> str:
    engine = identity(raw).engine if raw else ENGINE
    return "" if engine == ENGINE else f" (by engine {engine}, and this is {ENGINE})"


def _inside(partition: int, offset: int, within: Mapping[int, tuple[int, int]]) -> bool:
    first, end = within.get(partition, (0, 0))
    return first <= offset < end
