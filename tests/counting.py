"""Counting after faults: what is on the topics and in the state against what was sent and against a replay."""

from collections import Counter

from app.history.journal import ordered
from app.history.replay import replay
from app.policy import decision as decisions
from app.policy.decision import place_of
from app.policy.facts import Record, Samples, decode
from app.policy.state import empty, pack, unpack
from app.policy.step import step
from app.stream import client
from app.stream.topics import CHANGELOG, DECISIONS, JOURNAL


def records(settings):
    low, high = client.borders(settings, JOURNAL)
    for message in client.read_topic(settings, JOURNAL, low, high):
        yield Record(message.partition, message.offset, message.timestamp_ms, decode(message.value))


def places(settings):
    """Source places of the samples on the journal, each with how often it is there."""
    found = Counter()
    for record in records(settings):
        if isinstance(record.fact, Samples):
            source = record.fact.source
            found.update(
                (source.topic, source.partition, source.first + o, i)
                for o, i in zip(record.fact.offset, record.fact.item, strict=True)
            )
    return found


def progress(settings):
    return len(places(settings))


def states(settings):
    """The newest state of each partition on the changelog."""
    low, high = client.borders(settings, CHANGELOG)
    return {m.partition: m.value for m in client.read_topic(settings, CHANGELOG, low, high)}


def caught_up(settings):
    """Whether the written states contain every sample of the journal; ticks and outcomes keep coming after them."""
    written = {partition: unpack(raw).next_offset for partition, raw in states(settings).items()}
    return all(
        record.offset < written.get(record.partition, 0)
        for record in records(settings)
        if isinstance(record.fact, Samples)
    )


def check_state(settings, sent):
    """The journal counts every sample once, and each written state is what the journal gives up to its place.

    A worker that was frozen can write a stale state last. That is allowed: who comes next goes on
    from the place inside it.
    """
    repeated = sum(count - 1 for count in places(settings).values())
    found = {partition: (unpack(raw).next_offset, raw) for partition, raw in states(settings).items()}
    again = {partition: empty(partition) for partition in found}
    reached = set()
    for record in records(settings):
        partition = record.partition
        again[partition], _ = step(again[partition], record)
        if again[partition].next_offset == found[partition][0]:
            assert pack(again[partition]) == found[partition][1], f"the state of partition {partition} is another"
            reached.add(partition)
    counted = sum(state.samples for state in again.values())
    assert counted == sent, f"sent {sent}, counted by a replay of the journal {counted}, {never_counted(settings)}"
    assert reached == set(found)
    print(f"samples {sent}, written to the journal again after a crash {repeated}, counted twice 0")


def check_decisions(settings):
    """What is recorded is what the journal gives: nothing lost, nothing else, repeats equal."""
    low, high = client.borders(settings, DECISIONS)
    recorded, repeats = {}, 0
    for message in client.read_topic(settings, DECISIONS, low, high):
        one = decisions.decode(message.value)
        repeats += one.id in recorded
        assert recorded.setdefault(one.id, message.value) == message.value
    given = {one.id: decisions.encode(one) for one in replay(ordered(records(settings), {}), {})}
    done = client.committed(settings, "auto-scaler", JOURNAL)
    due = {key for key in given if place_of(key)[2] < done.get(place_of(key)[1], 0)}
    assert {key: given.get(key) for key in recorded} == recorded
    assert due <= set(recorded)
    print(f"decisions {len(recorded)}, written again after a crash {repeats}, lost 0")


def never_counted(settings):
    """Samples whose first appearance on the journal is behind a later one of the same source: what marks skip."""
    marks, seen, found = {}, set(), []
    for record in records(settings):
        if not isinstance(record.fact, Samples):
            continue
        source = record.fact.source
        key = (record.partition, source.topic, source.partition)
        ours = [(source.first + o, i) for o, i in zip(record.fact.offset, record.fact.item, strict=True)]
        lost = [place for place in ours if place <= marks.get(key, (-1, -1)) and (key, place) not in seen]
        if lost:
            found.append(
                (record.partition, record.offset, record.timestamp_ms, source, marks[key], len(lost), lost[0], lost[-1])
            )
        seen.update((key, place) for place in ours)
        marks[key] = max(marks.get(key, (-1, -1)), ours[-1])
    return found
