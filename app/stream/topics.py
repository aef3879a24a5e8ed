"""The topics: names, shapes, and the admin calls that make and compare them.

One table is the source of `headrace topics init|check`, of the start-up check of every app and
of the documentation. The users' own topics are made if they are missing and never altered.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic, sleep
from typing import Final, NamedTuple
from uuid import uuid4

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic  # type: ignore[attr-defined]

from app.policy.facts import LAYOUT, Genesis, encode
from app.settings import Settings
from app.stream.answered import answered
from app.stream.client import KafkaUnavailable, metadata

TIMEOUT_S: Final = 20.0
"""Longest wait for one answer of Kafka."""

DAY_MS: Final = 86_400_000

JOURNAL: Final = "headrace.journal"
DECISIONS: Final = "headrace.decisions"
OUTCOMES: Final = "headrace.outcomes"
CONTROL: Final = "headrace.control"
SNAPSHOTS: Final = "headrace.snapshots"
QUARANTINE: Final = "headrace.quarantine"
CHANGELOG: Final = "auto-scaler-state-changelog"
"""Faust's name for the changelog of the table `state` of the app `auto-scaler`."""

STATE_BYTES: Final = 8_000_000
"""Largest packed state of one partition, and so largest message on changelog and snapshots."""


@dataclass(frozen=True, eq=False)
class Topic:
    """One of our topics. `partitions` None means: as many as the journal has."""

    name: str
    about: str
    partitions: int | None = None
    config: dict[str, str] = field(default_factory=dict)


_TIME: Final = {"message.timestamp.type": "LogAppendTime"}
"""Of a program whose clock is an hour ahead Kafka would refuse the records: all have its own time instead."""


def _kept(days: int, **more: str) -> dict[str, str]:
    """Settings of a topic that is kept for some days (0: for ever)."""
    kept = {"cleanup.policy": "delete", "retention.ms": str(days * DAY_MS or -1)}
    return kept | _TIME | {key.replace("_", "."): value for key, value in more.items()}


_LARGE: Final = str(STATE_BYTES + 1_000_000)

TOPICS: Final[tuple[Topic, ...]] = (
    Topic(
        JOURNAL, "facts in one order; the append time is the engine's clock",
        config=_kept(8, compression_type="lz4", max_message_bytes="2000000"),
    ),
    Topic(DECISIONS, "decisions and refusals: the audit log and the outbox", config=_kept(365, compression_type="lz4")),
    Topic(OUTCOMES, "what became of each action", config=_kept(365)),
    Topic(CONTROL, "policies and commands, in one order, for ever", 1, _kept(0, max_message_bytes="2000000")),
    Topic(SNAPSHOTS, "state now and then: where replay starts", config=_kept(8, max_message_bytes=_LARGE)),
    Topic(QUARANTINE, "input that could not be read, with its reason", 1, _kept(30, max_message_bytes="2000000")),
    Topic(
        CHANGELOG, "the auto-scaler's table, one value per journal partition",
        config={
            "cleanup.policy": "compact", "segment.bytes": "33554432", "min.cleanable.dirty.ratio": "0.1",
            "max.compaction.lag.ms": "60000", "max.message.bytes": _LARGE,
        } | _TIME,
    ),
)  # fmt: skip
"""Every topic of ours."""

SOURCE_BYTES: Final = "2000000"
"""Largest message of a users' topic that we make ourselves."""


class TopicsError(Exception):
    """The topics are not as they should be, or Kafka cannot be asked; the text is one sentence an item."""


def init(settings: Settings, *, sources: bool = True) -> list[str]:
    """Make the topics that are missing, and the first fact of each journal partition; the names of what was made.

    `sources` also makes the users' topics that are missing, with as many partitions as the
    journal. What exists is left as it is: `check` says what is wrong with it.
    """
    admin = _admin(settings)
    there = _described(settings)
    partitions = _partitions(there, settings)
    wanted = [
        NewTopic(topic.name, topic.partitions or partitions, settings.replication, config=_config(topic, settings))
        for topic in TOPICS
        if topic.name not in there
    ]
    if sources:
        wanted += [
            NewTopic(name, partitions, settings.replication, config={"max.message.bytes": SOURCE_BYTES})
            for name in settings.sources
            if name not in there
        ]
    made = [topic.topic for topic in wanted]
    for name, future in (admin.create_topics(wanted) if wanted else {}).items():
        try:
            answered(future, TIMEOUT_S)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise TopicsError(f"topic {name} could not be made: {error.args[0].str()}") from error
    _begin(settings, partitions)
    return made


def check(settings: Settings) -> list[str]:
    """What is wrong with the topics, a sentence each; empty when all is right."""
    admin = _admin(settings)
    there = _described(settings)
    partitions = _partitions(there, settings)
    wrong = [
        f"topic {name} is missing; make it with `headrace topics init`"
        for name in [*(topic.name for topic in TOPICS), *settings.sources]
        if name not in there
    ]
    ours = [topic for topic in TOPICS if topic.name in there]
    for topic in ours:
        count = topic.partitions or partitions
        found = there[topic.name]
        if found.partitions != count:
            wrong.append(
                f"topic {topic.name} has {found.partitions} partitions and needs {count}, as many as {JOURNAL}; "
                "delete it and run `headrace topics init`"
            )
        if found.replicas < settings.replication:
            wrong.append(
                f"topic {topic.name} has {found.replicas} replicas and should have {settings.replication}; "
                "add them with kafka-reassign-partitions, or set HEADRACE_REPLICATION to what is meant"
            )
    for topic, config in _configs(admin, ours).items():
        wrong += [
            f"topic {topic.name} has {key}={config.get(key)} and should have {key}={value}"
            for key, value in _config(topic, settings).items()
            if config.get(key) != value and not (key == "retention.ms" and _kept_longer(topic, config[key], value))
        ]
    if not wrong and not _begun(settings, partitions):
        wrong.append(f"topic {JOURNAL} has partitions without a first fact; run `headrace topics init`")
    return wrong


def _kept_longer(topic: Topic, found: str, wanted: str) -> bool:
    """Whether a topic is kept longer than it has to be, which is right for all but the journal: what is decided again
    from it has to be known to the workers' ledger still.
    """
    return topic.name != JOURNAL and wanted != "-1" and (found == "-1" or int(found) > int(wanted))


def partitions_of_journal(settings: Settings) -> int:
    """How many partitions the journal has; raises TopicsError if anything about the topics is wrong."""
    wrong = check(settings)
    if wrong:
        raise TopicsError("; ".join(wrong))
    return _described(settings)[JOURNAL].partitions


def topic_ids(settings: Settings, names: Iterable[str]) -> dict[str, str]:
    """Kafka's ids of the topics that exist, which change when a topic is made anew; empty while Kafka is away."""
    admin = _admin(settings)  # kept in a name: its futures end with it
    wanted = TopicCollection(list(names))
    found: dict[str, str] = {}
    for name, future in admin.describe_topics(wanted, request_timeout=TIMEOUT_S).items():
        with suppress(KafkaException):
            found[name] = str(answered(future, TIMEOUT_S).topic_id)
    return found


def _admin(settings: Settings) -> AdminClient:
    return AdminClient(settings.librdkafka(log_level=0))


class Shape(NamedTuple):
    """How a topic that exists is cut: its partitions, and the fewest replicas that one of them has."""

    partitions: int
    replicas: int


def _partitions(there: dict[str, Shape], settings: Settings) -> int:
    return there[JOURNAL].partitions if JOURNAL in there else settings.partitions


def _described(settings: Settings) -> dict[str, Shape]:
    """Topics that exist, and how they are cut."""
    try:
        found = metadata(settings, TIMEOUT_S, patient=True)
    except KafkaUnavailable as error:
        raise TopicsError(str(error)) from error
    return {
        name: Shape(len(topic.partitions), min((len(one.replicas) for one in topic.partitions.values()), default=0))
        for name, topic in found.topics.items()
    }


def _config(topic: Topic, settings: Settings) -> dict[str, str]:
    return topic.config | ({"min.insync.replicas": "2"} if settings.replication >= 3 else {})


def _configs(admin: AdminClient, topics: list[Topic]) -> dict[Topic, dict[str, str]]:
    by_name = {topic.name: topic for topic in topics}
    resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in by_name]
    futures = admin.describe_configs(resources) if resources else {}
    try:
        return {
            by_name[resource.name]: {key: entry.value for key, entry in answered(future, TIMEOUT_S).items()}
            for resource, future in futures.items()
        }
    except KafkaException as error:
        raise TopicsError(f"Kafka does not say how its topics are set up ({error.args[0].str()}); try again") from error


def _ends(settings: Settings, partitions: int) -> list[tuple[int, int]]:
    """First and next offset of each journal partition; waits for partitions whose leader is not known yet."""
    consumer = Consumer(settings.librdkafka() | {"group.id": "headrace-look", "log_level": 0})
    deadline = monotonic() + TIMEOUT_S
    try:
        while True:
            try:
                return [
                    consumer.get_watermark_offsets(TopicPartition(JOURNAL, p), TIMEOUT_S) for p in range(partitions)
                ]
            except KafkaException as error:
                if monotonic() > deadline:
                    raise TopicsError(f"topic {JOURNAL} cannot be read: {error.args[0].str()}") from error
                sleep(0.1)
    finally:
        consumer.close()


def _begun(settings: Settings, partitions: int) -> bool:
    return all(end > 0 for _, end in _ends(settings, partitions))


def _begin(settings: Settings, partitions: int) -> None:
    """Write the first fact to the partitions of the journal that have none."""
    empty = [p for p, (_, end) in enumerate(_ends(settings, partitions)) if end == 0]
    if not empty:
        return
    if len(empty) != partitions:
        raise TopicsError(
            f"topic {JOURNAL} was begun by another run that did not finish (partitions {empty} are empty); "
            "delete it and run `headrace topics init` again"
        )
    producer = Producer(settings.librdkafka(log_level=0) | {"acks": "all", "enable.idempotence": True})
    value = encode(Genesis(uuid4().hex[:12], partitions, LAYOUT))
    for partition in empty:
        producer.produce(JOURNAL, value, partition=partition)
    if producer.flush(TIMEOUT_S):
        raise TopicsError(f"the first facts of {JOURNAL} were not acknowledged within {TIMEOUT_S:.0f} s")
