import msgspec

from app.history.journal import Journal
from app.history.replay import compare, replay, with_policies
from app.policy.decision import ENGINE, Reason, encode
from app.policy.files import load
from tests.unit.history.recorded import history, recorded, snapshot_at
from tests.unit.policy.builders import policy

ALL = {0: (0, 1_000_000)}


def replayed(records, snapshots=None):
    return replay(records, Journal(snapshots or {}).starting())


def test_a_replay_from_the_beginning_gives_the_same_bytes():
    journal = history()
    assert [encode(one) for one in replayed(journal.records)] == recorded(journal)
    assert len(journal.decisions) > 3


def test_a_replay_from_a_snapshot_gives_the_same_bytes_from_there_on():
    journal = history()
    raw = snapshot_at(journal.records, 7)
    found = compare(replayed(journal.records[7:], {0: raw}), recorded(journal), {0: (7, 1_000_000)})
    assert found.difference == ""
    assert 0 < found.decisions < len(journal.decisions)


def test_a_decision_written_twice_after_a_crash_is_counted_and_allowed():
    journal = history()
    once = recorded(journal)
    found = compare(replayed(journal.records), [*once, once[1], once[2]], ALL)
    assert (found.difference, found.decisions, found.repeats) == ("", len(once), 2)


def test_the_first_difference_is_named_with_both_sides():
    journal = history()
    theirs = recorded(journal)
    theirs[2] = theirs[2].replace(b'"at_ms":', b'"at_ms":1')
    found = compare(replayed(journal.records), theirs, ALL)
    assert found.decisions == 2
    assert found.difference == f"decision {journal.decisions[2].id} was recorded otherwise"
    assert found.recorded_bytes == theirs[2]
    assert found.replayed_bytes == recorded(journal)[2]


def test_two_contents_under_one_id_are_a_difference():
    journal = history()
    theirs = recorded(journal)
    found = compare(replayed(journal.records), [*theirs, theirs[1].replace(b'"at_ms":', b'"at_ms":1')], ALL)
    assert "recorded twice, with two contents" in found.difference


def test_a_decision_that_was_not_recorded_is_a_difference():
    journal = history()
    theirs = recorded(journal)
    missing = journal.decisions[1].id
    assert compare(replayed(journal.records), [theirs[0], *theirs[2:]], ALL).difference == (
        f"decision {missing} was not recorded"
    )


def test_a_recorded_decision_that_the_replay_does_not_make_is_a_difference():
    journal = history()
    more = msgspec.structs.replace(journal.decisions[0], id="journal-0-2-9")
    found = compare(replayed(journal.records), [*recorded(journal), encode(more)], ALL)
    assert found.difference == "decision journal-0-2-9 was recorded, but the replay does not make it"


def test_decisions_outside_of_the_stretch_do_not_count():
    journal = history()
    found = compare(replayed(journal.records), recorded(journal)[:1], {0: (0, 2)})
    assert (found.difference, found.decisions) == ("", 1)


def test_another_engine_is_said_with_the_difference():
    journal = history()
    theirs = recorded(journal)
    theirs[0] = theirs[0].replace(f'"engine":"{ENGINE}"'.encode(), b'"engine":"0.0"')
    assert f"by engine 0.0, and this is {ENGINE}" in compare(replayed(journal.records), theirs, ALL).difference


def test_other_policies_are_in_force_from_the_start_and_the_recorded_ones_never():
    journal = history()
    states = {}
    calm = load({"calm.yaml": policy(target=1000, least=3)})
    found = list(replay(with_policies(journal.records, states, calm), states))
    assert all(one.reason is not Reason.POLICIES_CHANGED for one in found)
    assert not any(one.action and hasattr(one.action, "to_replicas") and one.action.to_replicas > 3 for one in found)
    same = load({"same.yaml": policy(target=60, notify="people")})
    states = {}
    acted = [one.id for one in replay(with_policies(journal.records, states, same), states) if one.action]
    assert acted == [one.id for one in journal.decisions if one.action]
