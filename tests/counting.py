"""Counting after faults: what is on the topics and in the state against what was sent and against a replay."""

from collections import Counter

from app.history.journal import ordered
from app.history.replay import replay
from app.policy import decision as decisions
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
                (source.partition, source.first + o, i)
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
    """Every sample counted exactly once, and the state is what the journal gives, byte for byte."""
    repeated = sum(count - 1 for count in places(settings).values())
    found = states(settings)
    again = {partition: empty(partition) for partition in found}
    until = {partition: unpack(raw).next_offset for partition, raw in found.items()}
    for record in records(settings):
        if record.offset < until[record.partition]:
            again[record.partition], _ = step(again[record.partition], record)
    counted = sum(unpack(raw).samples for raw in found.values())
    due = sum(state.samples for state in again.values())
    assert (counted, due) == (sent, sent), (
        f"sent {sent}, in the states {counted}, by a replay of the journal {due}, {never_counted(settings)}"
    )
    assert {p: pack(state) for p, state in again.items()} == found
    print(f"samples {sent}, written to the journal again after a crash {repeated}, counted twice 0")


def check_decisions(settings):
    """What is recorded is what the journal gives: nothing lost, nothing else, repeats equal."""
    low, high = client.borders(settings, DECISIONS)
    recorded, repeats = {}, 0
    for message in client.read_topic(settings, DECISIONS, low, high):
        one = decisions.decode(message.value)
        repeats += one.id in recorded
        assert recorded.setdefault(one.id, message.value) == message.value
    until = {p: unpack(raw).next_offset for p, raw in states(settings).items()}
    journal = [record for record in records(settings) if record.offset < until[record.partition]]
    given = {one.id: decisions.encode(one) for one in replay(ordered(journal, {}), {})}
    assert given == recorded
    print(f"decisions {len(given)}, written again after a crash {repeats}, lost 0")


def never_counted(settings):
    """Samples whose first appearance on the journal is behind a later one of the same source: what marks skip."""
    marks, seen, found = {}, set(), []
    for record in records(settings):
        if not isinstance(record.fact, Samples):
            continue
        source = record.fact.source
        key = (record.partition, source.partition)
        ours = [(source.first + o, i) for o, i in zip(record.fact.offset, record.fact.item, strict=True)]
        lost = [place for place in ours if place <= marks.get(key, (-1, -1)) and (key, place) not in seen]
        if lost:
            found.append(
                (record.partition, record.offset, record.timestamp_ms, source, marks[key], len(lost), lost[0], lost[-1])
            )
        seen.update((key, place) for place in ours)
        marks[key] = max(marks.get(key, (-1, -1)), ours[-1])
    return found
