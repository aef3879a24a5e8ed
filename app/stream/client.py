"""Small readers and writers of Kafka for people's questions: bounded reads, following, sending.

Used by `app.history` and the command line. They read partitions by hand, join no group and commit
nothing, so that asking a question never moves anybody's position. The three apps never use this.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from time import monotonic
from typing import Any, Final, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ClusterMetadata  # type: ignore[attr-defined]

from app.settings import Settings

REACH_S: Final = 8.0
"""Longest wait for a broker's first answer."""

_REFUSED: Final = frozenset({KafkaError._AUTHENTICATION, KafkaError._SSL})  # noqa: SLF001
SLICE_S: Final = 2.0
"""Time to come up after which a broker that refuses is taken at its word."""

TIMEOUT_S: Final = 20.0
"""Longest wait for any other answer; a read that stands still for as long is given up."""

Offsets = dict[int, int]
"""Partition → offset."""


class KafkaUnavailable(Exception):  # noqa: N818 - it is said to people, as it is
    """Kafka does not answer, refuses us, or has no such topic; the text is one sentence that says what to do."""


class Message(NamedTuple):
    """One record. Times are milliseconds since the epoch; key and value may be None."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


class Outgoing(NamedTuple):
    """One record to send; `partition` None leaves the choice to the key."""

    topic: str
    value: bytes
    key: bytes | None = None
    partition: int | None = None


def reach(settings: Settings, timeout_s: float = REACH_S) -> dict[str, int]:
    """The topics there are, each with its partitions; raises as `metadata`."""
    return {name: len(topic.partitions) for name, topic in metadata(settings, timeout_s).topics.items()}


def metadata(settings: Settings, timeout_s: float = REACH_S, *, patient: bool = False) -> ClusterMetadata:
    """What Kafka says of its topics; raises KafkaUnavailable with the broker's own reason.

    `patient`: a Kafka where nobody listens is waited for; else that is answer enough.
    """
    reasons: list[KafkaError] = []
    admin = AdminClient(settings.librdkafka(log_level=0) | {"error_cb": reasons.append, "logger": _silent()})
    deadline = monotonic() + timeout_s
    while True:
        try:
            found = admin.list_topics(timeout=min(SLICE_S, timeout_s))
            if found.brokers:  # one that has just started may know of none yet, not even of itself
                return found
            last = KafkaError(KafkaError.BROKER_NOT_AVAILABLE)
        except KafkaException as error:
            last = error.args[0]
        admin.poll(0.1)
        if _hopeless(reasons, patient=patient) or monotonic() >= deadline:
            raise KafkaUnavailable(_sentence(settings, reasons, last))


def _hopeless(reasons: list[KafkaError], *, patient: bool) -> bool:
    """Whether every broker has refused already, so that waiting for the rest of the time is no use."""
    final = _REFUSED if patient else _REFUSED | {KafkaError._ALL_BROKERS_DOWN}  # noqa: SLF001
    return any(one.code() in final for one in reasons)


def _silent() -> Any:
    """A logger that says nothing: the reason is told once, by us."""
    import logging

    logger = logging.Logger("librdkafka")  # noqa: LOG001 - one of our own, outside of the tree
    logger.addHandler(logging.NullHandler())
    return logger


def _sentence(settings: Settings, reasons: list[KafkaError], last: KafkaError) -> str:
    """The most telling of the errors, and what to do about it."""
    refused = [one for one in reasons if one.code() in _REFUSED]
    down = [one for one in reasons if one.code() != KafkaError._ALL_BROKERS_DOWN]  # noqa: SLF001
    told = (refused or down or reasons or [last])[-1].str()
    told = told.split(" (after ")[0].split("]: ")[-1]
    if refused:
        check = "_USERNAME, _PASSWORD and _MECHANISM" if settings.kafka_sasl else "_CA_FILE, _CERT_FILE and _KEY_FILE"
        return f"Kafka at {settings.bootstrap} refuses us ({told}); check HEADRACE_KAFKA{check}"
    return f"Kafka does not answer at {settings.bootstrap} ({told}); is it running, and is HEADRACE_KAFKA_URL right?"


@contextmanager
def _consumer(settings: Settings, group: str = "headrace-look") -> Iterator[Consumer]:
    config = settings.librdkafka(log_level=0) | {
        "group.id": group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "earliest",
        "fetch.message.max.bytes": 9_000_000,
        "logger": _silent(),
    }
    consumer = Consumer(config)
    try:
        yield consumer
    except KafkaException as error:
        raise KafkaUnavailable(f"Kafka at {settings.bootstrap} says: {error.args[0].str()}; try again") from error
    finally:
        consumer.close()


def partitions_of(settings: Settings, topic: str) -> int:
    """How many partitions a topic has; raises KafkaUnavailable if there is no such topic."""
    topics = reach(settings)
    if topic not in topics:
        raise KafkaUnavailable(f"topic {topic} is missing on {settings.bootstrap}; make it with `headrace topics init`")
    return topics[topic]


def borders(settings: Settings, topic: str) -> tuple[Offsets, Offsets]:
    """First and next offset of each partition of a topic, now."""
    count = partitions_of(settings, topic)
    with _consumer(settings) as consumer:
        found = [consumer.get_watermark_offsets(TopicPartition(topic, p), TIMEOUT_S) for p in range(count)]
    return {p: low for p, (low, _) in enumerate(found)}, {p: high for p, (_, high) in enumerate(found)}


def offsets_at(settings: Settings, topic: str, at_ms: int) -> Offsets:
    """In each partition, the offset of the first record at or after a moment; the end where there is none."""
    _, ends = borders(settings, topic)
    with _consumer(settings) as consumer:
        asked = [TopicPartition(topic, p, max(at_ms, 0)) for p in ends]
        found = {one.partition: one.offset for one in consumer.offsets_for_times(asked, TIMEOUT_S)}
    return {p: found[p] if found[p] >= 0 else end for p, end in ends.items()}


def committed(settings: Settings, group: str, topic: str) -> Offsets:
    """Where a consumer group has committed; partitions without a commit are left out."""
    count = partitions_of(settings, topic)
    with _consumer(settings, group) as consumer:
        found = consumer.committed([TopicPartition(topic, p) for p in range(count)], TIMEOUT_S)
    return {one.partition: one.offset for one in found if one.offset >= 0}


def read_topic(settings: Settings, topic: str, start: Mapping[int, int], end: Mapping[int, int]) -> Iterator[Message]:
    """Records of a topic from `start` (inclusive) to `end` (exclusive), each partition in its order.

    Partitions are interleaved as they come. Ends by itself, also where records at the end were
    compacted away; raises KafkaUnavailable if Kafka stops answering.
    """
    left = {p: end[p] for p in start if start[p] < end.get(p, 0)}
    if not left:
        return
    with _consumer(settings) as consumer:
        consumer.assign([TopicPartition(topic, p, start[p]) for p in left])
        for message in _messages(consumer, settings, TIMEOUT_S):
            error, partition = message.error(), message.partition()
            if partition not in left:
                continue
            if error is not None or message.offset() >= left[partition]:
                del left[partition]
            else:
                yield _plain(message)
                if message.offset() + 1 >= left[partition]:
                    del left[partition]
            if not left:
                return


def follow(
    settings: Settings, topic: str, start: Mapping[int, int], ended: Callable[[], bool] = lambda: False
) -> Iterator[Message]:
    """Records of a topic from `start` on, each partition in its order, for ever or until `ended` says so."""
    with _consumer(settings) as consumer:
        consumer.assign([TopicPartition(topic, p, offset) for p, offset in start.items()])
        for message in _messages(consumer, settings, None, ended):
            if message.error() is None:
                yield _plain(message)


def _messages(
    consumer: Consumer, settings: Settings, patience_s: float | None, ended: Callable[[], bool] = lambda: False
) -> Iterator[Any]:
    """What comes, ends of partitions among it; raises for real errors and after `patience_s` of silence."""
    heard = monotonic()
    while not ended():
        batch = consumer.consume(1000, 0.2)
        if batch:
            heard = monotonic()
        elif patience_s is not None and monotonic() - heard > patience_s:
            raise KafkaUnavailable(
                f"Kafka at {settings.bootstrap} sent nothing for {patience_s:.0f} s in the middle of a read; try again"
            )
        for message in batch:
            error = message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF and not error.retriable():  # noqa: SLF001
                raise KafkaException(error)
            if error is None or error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                yield message


def _plain(message: Any) -> Message:
    return Message(
        message.topic(), message.partition(), message.offset(), message.timestamp()[1], message.key(), message.value()
    )


def tail(settings: Settings, topic: str, count: int, wanted: Callable[[Message], bool]) -> list[Message]:
    """The newest `count` records that are `wanted`, oldest first by their time.

    Reads backwards in growing steps, so that a long topic costs no more than it must.
    """
    low, high = borders(settings, topic)
    found: list[Message] = []
    upper, size = {p: high[p] for p in high if high[p] > low[p]}, max(count, 100)
    while upper:
        lower = {p: max(low[p], upper[p] - size) for p in upper}
        oldest: Offsets = {}
        for message in read_topic(settings, topic, lower, upper):
            oldest.setdefault(message.partition, message.timestamp_ms)
            if wanted(message):
                found.append(message)
        found.sort(key=lambda one: (one.timestamp_ms, one.partition, one.offset))
        found = found[-count:]
        enough_ms = found[0].timestamp_ms if len(found) == count else 0
        upper = {p: lower[p] for p in lower if lower[p] > low[p] and oldest.get(p, enough_ms) >= enough_ms}
        size *= 4
    return found


def send(settings: Settings, messages: Iterable[Outgoing]) -> list[tuple[str, int, int]]:
    """Send records and wait until Kafka has them all; (topic, partition, offset) of each, as they were acknowledged.

    Raises KafkaUnavailable if one of them is refused or not acknowledged in time.
    """
    topics = reach(settings)
    producer = Producer(settings.librdkafka(log_level=0) | {"acks": "all", "enable.idempotence": True})
    outcomes: list[tuple[KafkaError | None, Any]] = []
    for one in messages:
        if one.topic not in topics:
            raise KafkaUnavailable(f"topic {one.topic} is missing; make it with `headrace topics init`")
        _produce(producer, one, lambda *got: outcomes.append(got))
    if producer.flush(TIMEOUT_S):
        raise KafkaUnavailable(f"Kafka at {settings.bootstrap} did not acknowledge within {TIMEOUT_S:.0f} s; try again")
    for refused, _ in outcomes:
        if refused is not None:
            raise KafkaUnavailable(f"Kafka refused a message: {refused.str()}")
    return [(message.topic(), message.partition(), message.offset()) for _, message in outcomes]


def _produce(producer: Producer, one: Outgoing, told: Callable[..., None]) -> None:
    where: dict[str, Any] = {} if one.partition is None else {"partition": one.partition}
    while True:
        try:
            producer.produce(one.topic, one.value, one.key, on_delivery=told, **where)
        except BufferError:  # the queue to Kafka is full: let some of it be acknowledged
            producer.poll(1.0)
        except KafkaException as error:
            raise KafkaUnavailable(f"a message for {one.topic} could not be sent: {error.args[0].str()}") from error
        else:
            producer.poll(0)
            return
