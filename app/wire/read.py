"""Raw records in, facts and quarantine out: the one door of the intake. Pure.

All records of a call are of one source partition, in the order of their offsets; facts come out
in that order for each journal partition. Every record ends in exactly one place: in facts, whole,
or in quarantine, whole. How records are cut into calls changes the packs and nothing else.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from app.policy.facts import Change, Command, Deploy, Fact, Instances, PolicySet, Reported, Source
from app.wire.events import event
from app.wire.internal import control, instances, outcomes
from app.wire.metrics import samples
from app.wire.pack import Packs, partition_of
from app.wire.quarantine import Quarantined, quarantined
from app.wire.rules import Raw, Rules, UnreadableError

Kind = Literal["metrics", "events", "instances", "control", "outcomes"]

Single = Deploy | Change | Instances | PolicySet | Command | Reported
"""What one record of the other kinds becomes."""

_READERS: Final[Mapping[str, Callable[[Raw, Rules], Single]]] = {
    "events": lambda raw, rules: event(raw, _source(raw), rules),
    "instances": lambda raw, rules: instances(raw, _source(raw), rules),
    "control": lambda raw, _rules: control(raw, _source(raw)),
    "outcomes": lambda raw, _rules: outcomes(raw, _source(raw)),
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
    else:
        _read_singles(_READERS[kind], raws, rules, result)
    return result


def _read_metrics(raws: Sequence[Raw], rules: Rules, result: Read) -> None:
    packs = Packs(rules.partitions)
    for raw in raws:
        try:
            found = samples(raw, rules)
        except Exception as error:  # noqa: BLE001 - nor may a mistake of ours stop a partition for ever
            result.quarantined.append(_aside(raw, error))
        else:
            packs.add(raw, found)
            result.samples += len(found)
    result.facts.update(packs.facts())


def _read_singles(reader: Callable[[Raw, Rules], Single], raws: Sequence[Raw], rules: Rules, result: Read) -> None:
    for raw in raws:
        try:
            fact = reader(raw, rules)
        except Exception as error:  # noqa: BLE001 - as above
            result.quarantined.append(_aside(raw, error))
        else:
            for partition in _partitions(fact, rules):
                result.facts.setdefault(partition, []).append(fact)


def _aside(raw: Raw, error: Exception) -> Quarantined:
    """A record that could not be read, with what was wrong, with it or with us."""
    if isinstance(error, UnreadableError):
        return quarantined(raw, str(error))
    return quarantined(raw, f"the reader has a mistake, please report it: {type(error).__name__}: {error}")


def _partitions(fact: Single, rules: Rules) -> Sequence[int]:
    """Journal partitions that a fact goes to: its service's, or every one for what concerns all services."""
    if isinstance(fact, PolicySet | Command) or (isinstance(fact, Change) and fact.service == "*"):
        return range(rules.partitions)
    service = fact.outcome.service if isinstance(fact, Reported) else fact.service
    return [partition_of(service, rules.partitions)]


def _source(raw: Raw) -> Source:
    return Source(raw.topic, raw.topic_id, raw.partition, raw.offset, raw.offset)
