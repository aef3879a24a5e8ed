"""What the journal holds: facts, each with where it came from.

The intake writes them, the auto-scaler and every reader of history decode them. Pure words:
no Kafka here. A fact is one JSON object with a `kind`; times are milliseconds since the epoch.
"""

from enum import StrEnum

import msgspec

from tasks.contract import Outcome


class Source(msgspec.Struct, frozen=True, array_like=True):
    """Where a fact came from: one partition of one source topic, offsets `first` to `last`.

    `topic_id` is Kafka's id of the topic, so that a recreated topic is not taken for repeats.
    `item` is the index of the fact within its record: one record can yield several facts.
    """

    topic: str
    topic_id: str
    partition: int
    first: int
    last: int
    item: int = 0

    @property
    def key(self) -> str:
        """Names the source partition in the marks: topic id and partition."""
        return f"{self.topic_id}/{self.partition}"


class Series(msgspec.Struct, frozen=True, array_like=True):
    """One time series of a pack's dictionary."""

    service: str
    name: str
    labels: dict[str, str] = {}


class Samples(msgspec.Struct, frozen=True, tag="samples", tag_field="kind"):
    """A pack: samples of one source partition for services of one journal partition, as columns.

    All columns are of one length, in source order. `series` is the dictionary that `index`
    points into; `at_ms` the samples' own times; `offset` each sample's source offset relative to
    `source.first`; `item` its index within its record (a record can hold many samples).
    """

    source: Source
    series: list[Series]
    index: list[int]
    at_ms: list[int]
    value: list[float]
    offset: list[int]
    item: list[int]


class Phase(StrEnum):
    """Phases of a deploy."""

    STARTED = "started"
    FINISHED = "finished"
    FAILED = "failed"
    ROLLED_BACK = "rolled_back"
    POD_STARTED = "pod_started"
    POD_STOPPED = "pod_stopped"
    REMOVED = "removed"


class Deploy(msgspec.Struct, frozen=True, tag="deploy", tag_field="kind"):
    """A step in the life of a deploy, in CDEvents' words.

    `event_id` is the sender's, or a hash of the message: equal for repeats. `pod` and `address`
    (`IP:port`) are of an instance, for the phases that are about one.
    """

    source: Source
    service: str
    phase: Phase
    at_ms: int
    environment: str = ""
    version: str = ""
    who: str = ""
    link: str = ""
    event_id: str = ""
    commit: str = ""
    team: str = ""
    pod: str = ""
    address: str = ""


class Change(msgspec.Struct, frozen=True, tag="change", tag_field="kind"):
    """Somebody changed a setting, a flag or a piece of infrastructure of a service, or of all (`*`).

    `type` is how it was sent (`config_changed`, `flag_changed`, …), `event_id` as in `Deploy`.
    """

    source: Source
    service: str
    what: str
    at_ms: int
    who: str = ""
    link: str = ""
    event_id: str = ""
    type: str = ""
    environment: str = ""


class InstanceSeen(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """One instance, in Kubernetes' words: phase, start, readiness with its last change, requests in milli-units.

    `restarts` is how often it was started again, `version` what it runs (empty: this observer does not know it).
    """

    name: str
    phase: str = "Running"
    started_ms: int | None = None
    ready: bool | None = True
    since_ms: int = 0
    deleted: bool = False
    requests: dict[str, int] = {}
    restarts: int = 0
    version: str = ""


class Instances(msgspec.Struct, frozen=True, tag="instances", tag_field="kind"):
    """What an observer, or the fleet itself, says of a service's instances.

    `wanted` is the asked-for count (None: this observer does not know it), `ready` those that serve,
    `running` those there are (None: as many as wanted). `generation` is the newest scaling that the
    observer saw applied: what is older than the newest seen is not believed. `instances` are one by
    one; None: nobody says.
    """

    source: Source
    service: str
    at_ms: int
    wanted: int | None
    ready: int
    generation: int = 0
    running: int | None = None
    instances: list[InstanceSeen] | None = None


class Reported(msgspec.Struct, frozen=True, tag="outcome", tag_field="kind"):
    """An action's outcome, come back from `headrace.outcomes`."""

    source: Source
    outcome: Outcome


class PolicyDocument(msgspec.Struct, frozen=True):
    """One policy as written: its `kind`, name and whole document, plus the fingerprint of that."""

    kind: str
    name: str
    fingerprint: str
    document: dict[str, object]


class PolicySet(msgspec.Struct, frozen=True, tag="policy_set", tag_field="kind"):
    """The policies in force from here on; replaces the set before. Checked before it was written."""

    source: Source
    fingerprint: str
    policies: list[PolicyDocument]
    author: str
    message: str
    at_ms: int


class Verb(StrEnum):
    """What a command can ask for."""

    PAUSE = "pause"
    RESUME = "resume"
    SILENCE = "silence"
    UNSILENCE = "unsilence"
    REDRIVE = "redrive"
    DROP = "drop"


RECORDED = frozenset({Verb.REDRIVE, Verb.DROP})
"""Verbs of what was done already, with dead letters: they are remembered and change no decision."""


class Direction(StrEnum):
    """Which scalings a pause is for."""

    BOTH = "both"
    UP = "up"
    DOWN = "down"


class Command(msgspec.Struct, frozen=True, tag="command", tag_field="kind"):
    """A person's word on the services of a name or a glob (scaling, alerts, dead letters), why and until when.

    `alert` is which alerts a silence is for: a name or a glob, empty for all. `direction` is what a pause is for.
    `ids` are the messages that were sent again or dropped, and `redrive` which time that was for them.
    """

    source: Source
    verb: Verb
    service: str
    author: str
    reason: str
    at_ms: int
    until_ms: int = 0
    alert: str = ""
    direction: Direction = Direction.BOTH
    ids: list[str] = []
    redrive: int = 0


class Tick(msgspec.Struct, frozen=True, tag="tick", tag_field="kind"):
    """Time passed. Written to every partition each second by the intake that owns the control topic.

    `read_until_ms` is the latest moment up to which the intakes have committed all their sources:
    absence and staleness are judged against it, never against now.
    """

    read_until_ms: int


class Genesis(msgspec.Struct, frozen=True, tag="genesis", tag_field="kind"):
    """First record of every journal partition: whose journal this is and how it is cut."""

    journal_id: str
    partitions: int
    layout: int


LAYOUT = 1
"""Version of the facts and of the way services map to partitions."""

Fact = Samples | Deploy | Change | Instances | Reported | PolicySet | Command | Tick | Genesis
"""Anything on the journal."""


class Record(msgspec.Struct, frozen=True):
    """A fact at its place on the journal. `timestamp_ms` is Kafka's append time: it moves `now`."""

    partition: int
    offset: int
    timestamp_ms: int
    fact: Fact


_encode = msgspec.json.Encoder().encode
_decoder: msgspec.json.Decoder[Fact] = msgspec.json.Decoder(Fact)


def encode(fact: Fact) -> bytes:
    """JSON of a fact."""
    return _encode(fact)


def decode(raw: bytes) -> Fact:
    """The fact in `raw`; raises `msgspec.ValidationError` or `msgspec.DecodeError`."""
    return _decoder.decode(raw)


def partition_of(service: str, partitions: int) -> int:
    """Journal partition of a service: Kafka's own murmur2 of its UTF-8 name, modulo the count."""
    return (murmur2(service.encode()) & 0x7FFFFFFF) % partitions


def murmur2(data: bytes) -> int:
    """Kafka's murmur2 (seed 0x9747b28c), as an unsigned 32-bit number.

    Written out, not imported, because this module may not import a Kafka client; compared with
    aiokafka's in the tests.
    """
    length = len(data)
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = (0x9747B28C ^ length) & mask
    whole = length & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * m & mask
        h = (h * m & mask) ^ ((k ^ k >> 24) * m & mask)
    tail = data[whole:]
    if tail:
        h = (h ^ int.from_bytes(tail, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15
