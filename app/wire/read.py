"""Raw records in, facts and quarantine out: the one door of the intake. Pure.

All records of a call are of one source partition, in the order of their offsets; facts come out
in that order for each journal partition. Every record ends in exactly one place: in facts, whole,
or in quarantine, whole. How records are cut into calls changes the packs and nothing else.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from app.policy.facts import Fact, Reported, Samples, Series, Source, partition_of
from app.wire.events import event
from app.wire.internal import control, instances, outcomes
from app.wire.metrics import samples, series_of
from app.wire.quarantine import Quarantined, quarantined
from app.wire.rules import LARGEST, Raw, Rules, UnreadableError

Kind = Literal["metrics", "events", "instances", "control", "outcomes"]

PACK: Final = 4000
"""Most samples of one pack: about 200 kB of JSON."""

_READERS: Final[dict[str, Callable[[Raw, Source, Rules], Any]]] = {
    "events": event,
    "instances": instances,
    "control": control,
    "outcomes": outcomes,
}


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
    reader = _READERS[kind]
    for raw in raws:
        try:
            _whole(raw)
            fact = reader(raw, Source(raw.topic, raw.topic_id, raw.partition, raw.offset, raw.offset), rules)
        except UnreadableError as why:
            result.quarantined.append(quarantined(raw, str(why)))
            continue
        everywhere = range(rules.partitions)
        for partition in everywhere if kind == "control" else [partition_of(_service(fact), rules.partitions)]:
            result.facts.setdefault(partition, []).append(fact)
    return result


def _service(fact: Any) -> str:
    return str(fact.outcome.service if isinstance(fact, Reported) else fact.service)


def _read_metrics(raws: Sequence[Raw], rules: Rules, result: Read) -> None:
    packs: dict[int, _Pack] = {}
    slots: dict[Any, _Pack] = {}
    for raw in raws:
        try:
            _whole(raw)
            found = samples(raw, rules)
        except UnreadableError as why:
            result.quarantined.append(quarantined(raw, str(why)))
            continue
        result.samples += len(found)
        for item, sample in enumerate(found):
            slot = slots.get(sample.key)
            if slot is None:
                partition = partition_of(sample.key[0], rules.partitions)
                slot = slots[sample.key] = packs.setdefault(partition, _Pack())
            slot.add(sample.key, raw.offset, item, sample.at_ms, sample.value)
    for partition, pack in packs.items():
        result.facts[partition] = pack.facts(raws[0])


def _whole(raw: Raw) -> None:
    if raw.value is None:
        raise UnreadableError("the record is a tombstone: it has no value")
    if not raw.value:
        raise UnreadableError("the record is empty")
    if len(raw.value) > LARGEST:
        raise UnreadableError(f"the record has {len(raw.value)} bytes, and at most {LARGEST} are read")


class _Pack:
    """Columns of one journal partition, in source order."""

    def __init__(self) -> None:
        self.index: dict[Any, int] = {}
        self.rows: list[tuple[int, int, int, int, float]] = []

    def add(self, key: Any, offset: int, item: int, at_ms: int, value: float) -> None:
        self.rows.append((self.index.setdefault(key, len(self.index)), offset, item, at_ms, value))

    def facts(self, raw: Raw) -> list[Fact]:
        series = [series_of(key) for key in self.index]
        return [_samples(raw, series, self.rows[start : start + PACK]) for start in range(0, len(self.rows), PACK)]


def _samples(raw: Raw, series: list[Series], rows: list[tuple[int, int, int, int, float]]) -> Samples:
    index, offsets, items, times, values = (list(column) for column in zip(*rows, strict=True))
    first, last = offsets[0], offsets[-1]
    used = sorted(set(index))
    renumbered = {old: new for new, old in enumerate(used)}
    return Samples(
        Source(raw.topic, raw.topic_id, raw.partition, first, last),
        [series[i] for i in used],
        [renumbered[i] for i in index],
        times,
        values,
        [offset - first for offset in offsets],
        items,
    )
