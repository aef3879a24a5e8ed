"""What people did with dead letters is on the journal, and no decision depends on it."""

import msgspec
import pytest

from app.history.timeline import account
from app.policy.facts import Command, Tick, Verb, encode
from app.policy.state import pack
from app.wire.read import read
from tests.unit.policy.builders import START_MS, Journal, policy
from tests.unit.wire.records import RULES, raws


def word(made, verb, service="web", ids=("journal-0-2-0",)):
    return Command(made.source("control"), verb, service, "ann", "mended", made.at_ms, ids=list(ids), redrive=1)


def played(facts):
    """A service that is scaled, with what `facts` gives for each moment in between."""
    made = Journal()
    made.policies(policy(down_for="2s"))
    made.instances(3)
    for value in (90, 90, 20, 20, 20, 90):
        made.samples(value, value, value, after_s=1)
        made.add(facts(made), after_s=1)
    return made


@pytest.mark.parametrize("verb", [Verb.REDRIVE, Verb.DROP])
@pytest.mark.parametrize("service", ["web", "*"])
def test_decisions_are_byte_for_byte_those_of_a_journal_on_which_only_time_passed(verb, service):
    quiet = played(lambda made: Tick(0))
    told = played(lambda made: word(made, verb, service))
    assert len(quiet.decisions) > 2
    assert [msgspec.json.encode(one) for one in told.decisions] == [msgspec.json.encode(one) for one in quiet.decisions]
    marks = {key for key in told.state.marks if "control" in key}
    for key in marks:
        told.state.marks[key] = quiet.state.marks[key]
    assert pack(told.state) == pack(quiet.state)


def test_the_control_topic_carries_them_to_every_partition_within_limits():
    message = {
        "kind": "command", "verb": "redrive", "service": "web", "author": "ann", "reason": "mended", "at_ms": 1,
        "ids": ["a-1", "a-2"], "redrive": 2,
    }  # fmt: skip
    found = read("control", raws(message), RULES)
    assert sorted(found.facts) == [0, 1, 2, 3]
    assert (found.facts[1][0].ids, found.facts[1][0].redrive) == (["a-1", "a-2"], 2)
    for wrong in ({"ids": ["x" * 201]}, {"ids": ["x"] * 1001}, {"redrive": -1}, {"ids": "a-1"}):
        assert len(read("control", raws(message | wrong), RULES).quarantined) == 1, wrong


def test_the_timeline_of_a_service_has_who_sent_what_again_and_why():
    made = Journal()
    made.policies(policy())
    made.add(word(made, Verb.REDRIVE), after_s=1)
    made.add(word(made, Verb.DROP), after_s=1)
    made.add(word(made, Verb.DROP, service="api"), after_s=1)
    found, _ = account("web", (START_MS - 1, START_MS + 60_000), made.records, [], [])
    texts = [(one.text, one.detail["ids"]) for one in found.entries if one.kind == "command"]
    assert texts == [
        ("ann sent again, for the 1st time, journal-0-2-0: mended", ["journal-0-2-0"]),
        ("ann dropped journal-0-2-0: mended", ["journal-0-2-0"]),
    ]
    assert encode(made.records[-1].fact).count(b"journal-0-2-0") == 1
