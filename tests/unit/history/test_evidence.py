"""What `headrace explain` prints of a decision: rows in words, for every decision that the examples lead to."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from app.history.alerts import ANSWERS
from app.history.case import TestFile
from app.history.evidence import rows_of
from app.history.explain import explain
from app.history.scenario import played
from app.history.words import counted, lasting, plain
from app.policy.decision import Decision, Reason
from app.policy.files import load

TESTS = sorted((Path(__file__).parents[3] / "examples" / "tests").glob("*.yaml"))
PRINTED_ELSEWHERE = {"decision", "at (UTC)", "service", "action", "why", "stages", "outcome", "versions"}
"""Rows that the command has of its own: a word of the evidence must not take their place."""
SECOND = 1_700_000_000_000
NIGHT = {"name": "night", "from_ms": 0, "until_ms": SECOND, "maxReplicas": 3}

ALERT = """
apiVersion: headrace/v1
kind: Alert
metadata: {name: hot}
spec: {service: web, expr: 'avg("cpu", "1m") > 90.0', for: 2m, keep_firing_for: 5m, stale: 90s}
"""


def decided(path):
    """Every decision of a file of timelines, with the policies that were in force."""
    file = TestFile.model_validate(YAML(typ="safe", pure=True).load(path.read_text()))
    policies = load({name: (path.parent / name).read_text() for name in file.policies})
    for case in file.tests:
        yield from ((one, policies) for one in played(case, policies)[0])


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_every_decision_of_the_examples_is_told_in_words_and_says_what_would_have_had_to_differ(path):
    for one, policies in decided(path):
        found = explain(one, policies)
        assert found.differently, one
        assert not set(found.evidence) & PRINTED_ELSEWHERE
        for text in (*found.evidence.values(), *found.differently, *found.metrics):
            assert text
            for raw in ("{'", "['", "': ", "None", "_ms", " 1 replicas", " 1 workers"):
                assert raw not in text, (one.reason, text)


@pytest.mark.parametrize(
    ("word", "value", "name", "said"),
    [
        ("paused", {"author": "ann", "reason": "a test", "until_ms": 0, "direction": "down"}, "paused",
         "by ann until it is taken back, only scaling down: a test"),
        ("silenced", {"author": "bob", "reason": "", "until_ms": SECOND}, "silenced",
         "by bob until 2023-11-14 22:13:20.000: no reason given"),
        ("schedule", {"minReplicas": 2, "maxReplicas": 3, "windows": [NIGHT]}, "schedule",
         "night until 2023-11-14 22:13:20.000: 2 to 3 replicas"),
        ("doubt", {"warming": ["w-3"], "left_out": ["w-4", "w-5"]}, "not believed",
         "w-3 (still warming up); w-4, w-5 (beyond the wanted count during the deploy)"),
        ("crashing", {"version": "8", "failing": ["w-3"]}, "crashing", "w-3 of version 8"),
        ("flapping", {"turns_ms": [SECOND], "until_ms": SECOND}, "direction turned",
         "2023-11-14 22:13:20.000; scale-downs wait until 2023-11-14 22:13:20.000"),
        ("highest", 7, "highest wish", "7 replicas"),
        ("active", False, "activation", "no metric is above its activation"),
        ("missing_ms", 315_000, "data missing for", "5m 15s"),
        ("why", "repeated", "told because", "it still fires, and `repeat_interval` has passed"),
        ("untold", "resolved", "not told", "that it is over"),
        ("firing", [{"alert": "hot", "since_ms": SECOND, "values": {"avg(cpu, 1m)": 95.0}}], "firing",
         "hot since 2023-11-14 22:13:20.000 (avg(cpu, 1m) = 95)"),
        ("active_only_in", ["office", "weekend"], "told only in", "office, weekend"),
        ("failed", ["cpu: there is no fresh sample", "rps: gone"], "no data of",
         "cpu: there is no fresh sample; rps: gone"),
        ("a_new_word", {"a": [1, 2.0], "b": None}, "a new word", "a 1, 2, b unknown"),
    ],
)  # fmt: skip
def test_a_word_of_the_evidence_is_a_row_that_reads_well(word, value, name, said):
    assert rows_of({word: value}) == {name: said}


def test_what_is_empty_has_no_row_and_where_it_came_from_stands_last():
    rows = rows_of(
        {"fact": "0/7", "source": "metrics/1/14", "sample_at_ms": SECOND, "detail": "", "pending": "j-0-1-0"}
    )
    assert list(rows) == ["under way", "newest sample", "source record", "journal record"]


def test_an_activation_that_cannot_be_said_is_left_out_and_zero_is_not():
    assert rows_of({"active": None}) == {}
    assert rows_of({"kept": 0}) == {"series kept": "0"}


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (Reason.ALERT_PENDING, "true for 2m (`for`)"),
        (Reason.ALERT_FIRING, "would have to be false for 5m (`keep_firing_for`)"),
        (Reason.ALERT_RESOLVED, "is true for 2m (`for`)"),
        (Reason.ALERT_INACTIVE, "is true for 2m (`for`)"),
        (Reason.ALERT_UNKNOWN, "avg(cpu, 1m) has to come to a number: it needs samples younger than 1m 30s"),
    ],
)
def test_an_alert_says_how_long_it_would_have_had_to_be_otherwise(reason, said):
    (policy,) = load({"a.yaml": ALERT})
    evidence = {"expr": 'avg("cpu", "1m") > 90.0', "values": {"avg(cpu, 1m)": None}}
    one = Decision(
        id="j-0-1-0", at_ms=1, service="web", policy="hot", fingerprint=policy.fingerprint, reason=reason,
        evidence=evidence,
    )  # fmt: skip
    (sentence,) = explain(one, [policy]).differently
    assert said in sentence
    assert ANSWERS[reason](one, None)


@pytest.mark.parametrize(
    ("ms", "said"), [(250, "0.25s"), (15_000, "15s"), (125_000, "2m 5s"), (5_400_000, "1h 30m"), (90_061_000, "1d 1h")]
)
def test_a_stretch_of_time_is_told_by_its_two_largest_units(ms, said):
    assert lasting(ms) == said


def test_one_is_one_and_more_are_many():
    assert [counted(n, "replica") for n in (0, 1, 2)] == ["0 replicas", "1 replica", "2 replicas"]
    assert plain([True, 0.5, {"a": "b"}]) == "yes, 0.5, a b"


@pytest.mark.parametrize(
    ("reason", "evidence", "said"),
    [
        (Reason.PAUSED, {"paused": {}, "current": 3}, "lets it scale again"),
        (Reason.PAUSED, {"paused": {}, "deed": "rollBack", "decision": "j-0-1-0"}, "lets it be rolled back again"),
        (Reason.PAUSED, {"paused": {}, "deploy": {}, "decision": "j-0-1-0"}, "lets it be rolled back again"),
        (Reason.PAUSED, {"paused": {}, "deed": "scale", "decision": "j-0-1-0"}, "lets it scale again"),
        (Reason.AT_MAXIMUM, {"deed": "scale", "current": 4, "wanted": 5, "limited": 4},
         "then.scale.max would have to be higher (it is 4): 5 replicas would be set"),
        (Reason.AT_MINIMUM, {"current": 2, "stabilized": 1}, "minReplicas would have to be lower: 1 replica would be"),
        (Reason.BELOW_MINIMUM, {"current": 2, "limited": 8}, "would have to be lower: there are 2 replicas"),
        (Reason.BACKING_OFF, {"pending": "j-0-9-0"}, "action j-0-9-0 failed; 15s after that it is tried again"),
        (Reason.OUTVOTED, {"highest": 1}, "another policy wants 1 replica;"),
        (Reason.TOLD, {"why": "new", "route": "/", "receiver": "team"}, "a silence, an inhibition or a mute"),
        (Reason.TOLD, {"why": "new", "receiver": "team"}, "`then.notify` of the alert has team told; a silence or an"),
        (Reason.MUTED, {"active_only_in": ["office", "noon"]}, "within office, noon (`active_time_intervals`)"),
    ],
)  # fmt: skip
def test_what_would_have_had_to_differ_is_of_what_was_to_be_done(reason, evidence, said):
    one = Decision(
        id="j-0-1-0", at_ms=1, service="web", policy="web", fingerprint="f", reason=reason, evidence=evidence
    )
    (sentence,) = explain(one, []).differently
    assert said in sentence
