import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.policy import facts
from app.policy.facts import partition_of
from app.wire import read as reading
from app.wire.fields import LARGEST_COUNT, NAME_BYTES
from app.wire.metrics import MOST_SAMPLES
from app.wire.quarantine import REASON
from app.wire.read import read
from tests.unit.wire.records import NOW_MS, RULES, raws

KINDS = ["metrics", "events", "instances", "control", "outcomes"]
GOOD = {
    "metrics": {"host": "web-1", "cpu": 1, "labels": {"zone": "a"}, "ts": NOW_MS},
    "events": {"type": "deployed", "service": "web", "version": "1.4"},
    "instances": {"service": "web", "wanted": 3, "ready": 2},
    "control": {
        "kind": "command", "verb": "pause", "service": "web", "author": "ann", "reason": "lunch", "at_ms": NOW_MS
    },
    "outcomes": {"kind": "outcome", "id": "j-0-1-0", "action": "scale", "service": "web", "status": "done"},
}  # fmt: skip
OTHERS = {"host", "cpu", "values", "name", "value", "context", "subject", "specversion", "data", "policies"}
FIELDS = sorted(OTHERS.union(*GOOD.values()))
WORDS = ["deployed", "config_changed", "policy_set", "command", "pause", "outcome", "scale", "done", "web", "web-1", ""]
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.sampled_from(WORDS),
    st.sampled_from([10**18, 10**30, -(10**30), 2**63, 2**64, 1e308, NOW_MS]),
)  # fmt: skip
JSON = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(FIELDS), inner, max_size=6)),
    max_leaves=10,
)


@st.composite
def nearly_good(draw, kind):
    """A good record with a field changed, or with some bytes overwritten."""
    message = {**GOOD[kind], **draw(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=2))}
    raw = bytearray(json.dumps(message).encode())
    for at, byte in draw(st.lists(st.tuples(st.integers(0, len(raw) - 1), st.integers(0, 255)), max_size=2)):
        raw[at] = byte
    return bytes(raw)


def places(kind, found):
    """Offsets that were served, in their order on each journal partition; each fact encodes, and fits the state."""
    served = set()
    for partition, each in found.facts.items():
        offsets = []
        for fact in each:
            assert facts.decode(facts.encode(fact)) == fact
            msgspec.msgpack.encode(fact)
            offsets += [fact.source.first + offset for offset in (fact.offset if kind == "metrics" else [0])]
            for series in fact.series if kind == "metrics" else []:
                assert partition_of(series.service, RULES.partitions) == partition
        assert offsets == sorted(offsets)
        served |= set(offsets)
    return served


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_every_record_ends_in_facts_or_in_quarantine_and_its_neighbours_are_served(kind, data):
    values = data.draw(st.lists(st.one_of(st.none(), st.binary(max_size=40), JSON, nearly_good(kind)), max_size=6))
    found = read(kind, raws(GOOD[kind], *values, GOOD[kind]), RULES)
    refused = [one.offset for one in found.quarantined]
    served = places(kind, found)
    assert not [one.reason for one in found.quarantined if "mistake, please report" in one.reason]
    assert refused == sorted(set(refused))
    assert not served & set(refused)
    assert served | set(refused) == set(range(len(values) + 2))
    assert {0, len(values) + 1} <= served


DEEP = b'{"a":' * 100_000
HUGE = b"1" + b"0" * 400


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "value",
    [
        b'"\xff"', b'{"service": "\xff\xfe", "cpu": 1}', b"[" * 100_000, DEEP, b'{"service": "\\ud800", "cpu": 1}',
        b'{"service": "web", "cpu": %b, "wanted": %b}' % (HUGE, HUGE),
        b'{"service": "web", "ts": %b, "at": %b}' % (HUGE, HUGE),
        b'{"type": [], "kind": [], "service": {}, "host": {}}', b"\xef\xbb\xbf{}", b"\x00",
        b'{"service": "web", "cpu": 1' + b"0" * 5000 + b"}",
    ],
)  # fmt: skip
def test_hostile_bytes_are_put_aside_with_a_sentence(kind, value):
    found = read(kind, raws(GOOD[kind], value, GOOD[kind]), RULES)
    (one,) = found.quarantined
    assert one.offset == 1
    assert "mistake, please report" not in one.reason
    assert places(kind, found) == {0, 2}


@pytest.mark.parametrize(
    ("kind", "change", "why"),
    [
        ("metrics", {"service": "s" * 201}, f"'service' has 201 bytes, and at most {NAME_BYTES}"),
        ("metrics", {"host": "é" * 101}, "'host' has 202 bytes"),
        ("metrics", {"m" * 201: 1}, "'name of a metric' has 201 bytes"),
        ("metrics", {"": 1}, "empty name"),
        ("metrics", {"labels": {"path": "x" * 4000}}, "'labels' has"),
        ("metrics", {"values": {str(i): i for i in range(MOST_SAMPLES)}}, f"at most {MOST_SAMPLES}"),
        ("metrics", {"cpu": 1e101}, "'cpu' is larger"),
        ("metrics", {"ts": "0001-01-01T00:00:00Z"}, "before 1970"),
        ("events", {"service": "s" * 201}, "'service' has 201 bytes"),
        ("events", {"version": "v" * 10_001}, "'version' has 10001 bytes"),
        ("events", {"ts": NOW_MS + 61_000}, "61 s ahead"),
        ("events", {"service": ""}, "no 'service'"),
        ("instances", {"generation": LARGEST_COUNT + 1}, "'generation' is not a count"),
        ("instances", {"ready": -1}, "'ready' is not a count"),
        ("instances", {"wanted": 2.5}, "Expected `int | null`"),
        ("instances", {"at": NOW_MS + 61_000}, "61 s ahead"),
        ("control", {"until_ms": 10**30}, "'until_ms' is not a count"),
        ("control", {"verb": "explode"}, "Invalid enum value 'explode'"),
        ("control", {"service": "s" * 201}, "'service' has 201 bytes"),
        ("outcomes", {"found": 10**30}, "'found' is not a count"),
        ("outcomes", {"service": ""}, "no 'service'"),
    ],
)
def test_what_no_journal_state_or_queue_could_hold_is_refused(kind, change, why):
    (one,) = read(kind, raws({**GOOD[kind], **change}), RULES).quarantined
    assert why in one.reason


def test_the_largest_that_is_taken_is_taken():
    message = {"service": "s" * 200, "labels": {"a": "x" * 3999}, "m" * 200: 1e100, "ts": NOW_MS + 60_000}
    assert not read("metrics", raws(message), RULES).quarantined
    assert read(
        "metrics", raws({"service": "s", "values": dict.fromkeys(map(str, range(MOST_SAMPLES)), 1)}), RULES
    ).facts


def test_a_reason_does_not_grow_with_the_record():
    (one,) = read("metrics", raws({**GOOD["metrics"], "ts": "x" * 900_000}), RULES).quarantined
    assert one.reason.startswith("the time 'xxx")
    assert len(one.reason) == REASON + 1


def test_packs_of_large_series_stay_small_enough_for_the_journal():
    wide = {"service": "web", "labels": {"\x01": "\x01" * 3000}, "values": {str(i): i for i in range(200)}}
    found = read("metrics", raws(wide, wide), RULES)
    (packs,) = found.facts.values()
    assert len(packs) > 5
    assert max(len(facts.encode(pack)) for pack in packs) < 500_000
    assert [value for pack in packs for value in pack.value] == [*range(200)] * 2
    assert places("metrics", found) == {0, 1}


def test_a_mistake_of_a_reader_costs_its_record_only(monkeypatch):
    real = reading.samples

    def broken(raw, rules):
        return 1 / 0 if raw.offset == 1 else real(raw, rules)

    monkeypatch.setattr(reading, "samples", broken)
    found = read("metrics", raws(*[GOOD["metrics"]] * 3), RULES)
    assert [one.reason for one in found.quarantined] == [
        "the reader has a mistake, please report it: ZeroDivisionError: division by zero"
    ]
    assert places("metrics", found) == {0, 2}
