"""The post-mortem: everything in the order of time, each thing with its cause, nothing that breaks out of its page."""

import msgspec
import pytest

from app.history import timeline as module
from app.history.entries import remarks
from app.history.page import html
from app.history.timeline import account
from tasks.contract import Status
from tests.unit.history.incident import HOUR, incident, outcomes_of, told
from tests.unit.policy.builders import START_MS, Journal


@pytest.fixture
def journal():
    return incident()


def test_everything_is_there_in_the_order_of_time(journal):
    found = told(journal)
    assert [one.at_ms for one in found.entries] == sorted(one.at_ms for one in found.entries)
    texts = [one.text for one in found.entries]
    for expected in (
        "ann put policies in force: deploys, web (why)", "1 replicas wanted, 1 ready",
        "instance started web-1 2 in prod by ann", "deployed 2 in prod by ann", "timeout 5 s by bob",
        "scale done: 1 → 2 replicas",
    ):  # fmt: skip
        assert expected in texts
    assert any(text.startswith("scale 1 → 2: the metric is above its target") for text in texts)
    short = told(journal, stretch=(START_MS, START_MS + 60_000))
    assert [one.text for one in short.entries if one.kind == "metric"] == [
        "cpu is 40, 1 reporting", "cpu is 95, 1 reporting",
    ]  # fmt: skip


def test_an_action_is_told_with_what_was_measured(journal):
    (scaling,) = [one for one in told(journal).entries if one.text.startswith("scale 1 → 2")]
    assert scaling.text.endswith("(cpu 95, target 60)")
    assert "cpu averages 95 over 1 series; target 60, ratio 1.583, so 2 replicas" in html(told(journal), START_MS)


def test_a_long_action_is_cut_in_its_line_and_whole_in_its_detail(journal):
    (mark,) = [one for one in told(journal).entries if one.text.startswith("mark on main: web: 2 is deployed")]
    assert "…: a policy has" in mark.text
    assert "Replicas: 1." not in mark.text
    assert mark.detail["action"]["text"].endswith("Replicas: 1.")


def test_each_thing_names_its_cause(journal):
    found = told(journal)
    by_id = {one.id: one for one in found.entries if one.id}
    outcome = next(one for one in found.entries if one.kind == "outcome")
    scaling = by_id[outcome.cause]
    assert scaling.text.startswith("scale 1 → 2")
    notify = next(one for one in found.entries if "notify team: web: 1 → 2" in one.text)
    assert notify.cause == scaling.id
    routed = next(one for one in found.entries if one.text.startswith("have edge serve"))
    assert by_id[routed.cause].text.startswith("instance started web-1")
    assert all(one.cause for one in found.entries if one.kind in {"action", "refusal", "outcome"})


def test_other_services_and_other_times_are_left_out(journal):
    assert told(journal, service="api").entries == [one for one in told(journal).entries if one.kind == "policies"]
    late = (HOUR[1], HOUR[1] + 1000)
    found = account("web", late, [], journal.decisions, outcomes_of(journal))[0]
    assert found.entries == []


def test_a_service_that_is_not_known_is_told_apart_from_a_quiet_one(journal):
    assert account("web", HOUR, journal.records, [], [])[1]
    assert not account("nobody", HOUR, journal.records, journal.decisions, [])[1]


def test_what_arrived_late_says_when(journal):
    journal.deploy("finished", "1.9", at_s=-600)
    late = [one for one in told(journal, stretch=(HOUR[0] - 3_600_000, HOUR[1])).entries if one.arrived_ms]
    assert [one.text for one in late] == ["deployed 1.9 in prod"]
    assert late[0].arrived_ms > late[0].at_ms


def test_changes_and_pauses_of_all_services_are_told_of_each(journal):
    journal.change("new kernel", service="*", who="bob")
    journal.command("pause", service="*")
    texts = [one.text for one in told(journal).entries]
    assert "new kernel by bob (to every service)" in texts
    assert "ann asked to pause *: lunch" in texts


def test_an_event_that_was_sent_again_is_one_entry_that_says_so(journal):
    for _ in range(3):
        journal.deploy("finished", "3", event_id="same")
    (entry,) = [one for one in told(journal).entries if one.text == "deployed 3 in prod"]
    assert entry.detail["sent"] == 3


def test_a_fact_that_the_intake_wrote_again_after_a_crash_is_told_once(journal):
    again = [msgspec.structs.replace(one, offset=one.offset + 100) for one in journal.records]
    once = account("web", HOUR, journal.records, [], [])[0]
    twice = account("web", HOUR, [*journal.records, *again], [], [])[0]
    assert twice == once


def test_a_repeated_event_is_refused_because_of_the_first(journal):
    first = journal.deploy("finished", "3", event_id="same")
    journal.deploy("finished", "3", event_id="same")
    (refusal,) = [one for one in told(journal).entries if one.text.startswith("EVENT_REPEATED")]
    assert refusal.cause == first[0].evidence["fact"]


def test_what_the_journal_has_lost_is_told_from_the_decisions(journal):
    gone = account("web", HOUR, [], journal.decisions, outcomes_of(journal))[0]
    texts = [one.text for one in gone.entries if one.kind in {"deploy", "change"}]
    assert texts == ["instance started web-1 2 in prod by ann", "deployed 2 in prod by ann", "timeout 5 s by bob"]
    by_id = {one.id: one for one in gone.entries}
    routed = next(one for one in gone.entries if one.text.startswith("have edge serve"))
    assert by_id[routed.cause].text.startswith("instance started")
    assert "nothing of this stretch" in remarks(gone)[0]


def test_that_the_journal_begins_later_is_said_and_that_it_does_not_is_not(journal):
    early = told(journal, stretch=(START_MS - 60_000, HOUR[1]))
    assert early.journal_from_ms == START_MS
    assert remarks(early)[0].startswith("The journal has nothing before 2023-11-14 22:13:20.000;")
    assert remarks(told(journal)) == []


def test_what_came_of_an_action_after_a_redrive_stands_beside_what_came_before(journal):
    (done,) = outcomes_of(journal)
    dead = msgspec.structs.replace(done, status=Status.DEAD)
    redriven = msgspec.structs.replace(done, redrive=1, ended_at_ms=done.ended_at_ms + 5000)
    found = account("web", HOUR, journal.records, journal.decisions, [dead, redriven])[0]
    told_of = [one for one in found.entries if one.kind == "outcome"]
    assert [one.text for one in told_of] == ["scale dead: 1 → 2 replicas", "scale done: 1 → 2 replicas, redriven (1)"]
    assert len({one.id for one in told_of}) == 2


def test_a_name_cannot_start_a_line_or_command_a_terminal(journal):
    journal.change("done\n2026-01-01 00:00:00.000  action  scale 1 → 99\x1b[2J\u202e", who="eve\r")
    for one in told(journal).entries:
        assert one.text.isprintable()


def test_the_replicas_before_the_stretch_are_where_it_begins(journal):
    found = told(journal, stretch=(START_MS + 3000, START_MS + 60_000))
    assert found.replicas[0] == (START_MS + 3000, 1, 1)
    assert all(one.at_ms >= START_MS + 3000 for one in found.entries if not one.arrived_ms)


def test_a_flood_is_cut_and_counted(journal, monkeypatch):
    monkeypatch.setattr(module, "MOST", 2)
    found = told(journal)
    assert sum(one.kind == "action" for one in found.entries) == 2
    actions = [one for one in journal.decisions if one.action]
    assert found.left_out["action"].count == len(actions) - 2
    assert found.left_out["action"].from_ms == actions[2].at_ms
    assert any(one.startswith(f"{len(actions) - 2} more of kind action, from ") for one in remarks(found))


def test_replicas_that_never_rest_are_told_to_the_end_in_a_bounded_number_of_steps(journal, monkeypatch):
    monkeypatch.setattr(module, "MOST", 10)
    for n in range(100):
        journal.instances(n % 7 + 1, after_s=1)
    found = told(journal, stretch=(START_MS, journal.at_ms + 1))
    assert 10 <= len(found.replicas) <= 11
    assert found.replicas[-1][1:] == (99 % 7 + 1, 99 % 7 + 1)


def test_the_account_is_a_document_that_can_be_read_back(journal):
    plain = msgspec.json.decode(msgspec.json.encode(told(journal)))
    assert plain["service"] == "web"
    assert plain["entries"][0]["kind"]
    assert plain["metrics"]["cpu"][0][4] == 1


def test_an_alert_that_nobody_is_told_of_is_no_refusal():
    journal = Journal()
    journal.policies(
        "apiVersion: headrace/v1\nkind: Alert\nmetadata: {name: hot}\n"
        "spec: {service: web, expr: 'last(\"cpu\") > 90.0'}\n"
    )
    journal.samples(95)
    found = account("web", HOUR, journal.records, journal.decisions, [])[0]
    assert [one.kind for one in found.entries if "ALERT_FIRING" in one.text] == ["alert"]
