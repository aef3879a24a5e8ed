"""Raw records in, facts and quarantine out: the one door of the intake. Pure.

All records of a call are of one source partition, in the order of their offsets; facts come out
in that order for each journal partition. Every record ends in exactly one place: in facts, whole,
or in quarantine, whole. How records are cut into calls changes the packs and nothing else.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeVar

from app.policy.facts import Change, Command, Deploy, Fact, Instances, PolicySet, Reported, Source
from app.wire.events import event
from app.wire.internal import control, instances, outcomes
from app.wire.metrics import Sample, samples
from app.wire.pack import Packs, partition_of
from app.wire.quarantine import Quarantined, quarantined
from app.wire.rules import LARGEST, Raw, Rules, UnreadableError

Kind = Literal["metrics", "events", "instances", "control", "outcomes"]

Single = Deploy | Change | Instances | PolicySet | Command | Reported
"""What one record of the other kinds becomes."""

_READERS: Final[Mapping[str, Callable[[Raw, Rules], Single]]] = {
    "events": lambda raw, rules: event(raw, _source(raw), rules),
    "instances": lambda raw, rules: instances(raw, _source(raw), rules),
    "control": lambda raw, _rules: control(raw, _source(raw)),
    "outcomes": lambda raw, _rules: outcomes(raw, _source(raw)),
}

T = TypeVar("T")


@dataclass
class Read:
    """What came of some records: facts by journal partition, what was put aside, how many samples."""

    facts: dict[int, list[Fact]] = field(default_factory=dict)
    quarantined: list[Quarantined] = field(default_factory=list)
    samples: int = 0


def read(kind: Kind, raws: Sequence[Raw], rules: Rules) -> Read:
    """Read records of one source partition; never raises for what is in them."""
    result = Read()
    if kind == "metrics":
        _read_metrics(raws, rules, result)
        return result
    for raw in raws:
        fact = _tried(_READERS[kind], raw, rules, result)
        if fact is not None:
            for partition in _partitions(fact, rules):
                result.facts.setdefault(partition, []).append(fact)
    return result


def _read_metrics(raws: Sequence[Raw], rules: Rules, result: Read) -> None:
    packs: dict[int, Packs] = {}
    for raw in raws:
        found: list[Sample] | None = _tried(samples, raw, rules, result)
        if found is None:
            continue
        result.samples += len(found)
        for item, sample in enumerate(found):
            partition = partition_of(sample[0].series.service, rules.partitions)
            if partition not in packs:
                packs[partition] = Packs(raw)
            packs[partition].add(sample, raw.offset, item)
    for partition, pack in packs.items():
        result.facts[partition] = pack.facts()


def _tried(reader: Callable[[Raw, Rules], T], raw: Raw, rules: Rules, result: Read) -> T | None:
    """What the reader makes of a record; None once the record is in quarantine."""
    try:
        if not raw.value or len(raw.value) > LARGEST:
            _refuse(raw.value)
        return reader(raw, rules)
    except UnreadableError as why:
        reason = str(why)
    except Exception as mistake:  # noqa: BLE001 - a mistake of ours must not stop a partition for ever either
        reason = f"the reader has a mistake, please report it: {type(mistake).__name__}: {mistake}"
    result.quarantined.append(quarantined(raw, reason))
    return None


def _refuse(value: bytes | None) -> None:
    """Say what is wrong with a record that has nothing to read, or too much."""
    if value is None:
        raise UnreadableError("the record is a tombstone: it has no value")
    if not value:
        raise UnreadableError("the record is empty")
    raise UnreadableError(f"the record has {len(value)} bytes, and at most {LARGEST} are read")


def _partitions(fact: Single, rules: Rules) -> Sequence[int]:
    """Journal partitions that a fact goes to: its service's, or every one for what concerns all services."""
    if isinstance(fact, PolicySet | Command) or (isinstance(fact, Change) and fact.service == "*"):
        return range(rules.partitions)
    service = fact.outcome.service if isinstance(fact, Reported) else fact.service
    return [partition_of(service, rules.partitions)]


def _source(raw: Raw) -> Source:
    return Source(raw.topic, raw.topic_id, raw.partition, raw.offset, raw.offset)
