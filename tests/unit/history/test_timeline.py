"""The post-mortem: everything in the order of time, each thing with its cause, nothing that breaks out of its page."""

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.history import timeline as module
from app.history.condense import BUCKETS, Bucket, Condensed, notable
from app.history.page import html
from app.history.timeline import account
from app.policy.facts import Samples, Series, Source
from tasks.contract import Kind, Outcome, Status
from tests.unit.policy.builders import START_MS, Journal, policy
from tests.unit.policy.test_route import route

HOUR = (START_MS, START_MS + 3_600_000)


@pytest.fixture
def journal():
    """Half a minute of a service: policies, a deploy, a change, load, a scaling and its outcome."""
    made = Journal()
    made.policies(policy(up_for="0s", notify="team"), route())
    made.instances(1)
    made.deploy("pod_started", "2", pod="web-1", address="10.0.0.1:80", who="ann")
    made.deploy("finished", "2", who="ann")
    made.change("timeout 5 s", who="bob")
    for load in (40, 42, 95):
        made.samples(load, after_s=5)
    made.outcome(next(one.action for one in made.decisions if one.action and hasattr(one.action, "to_replicas")))
    return made


def outcomes_of(journal):
    scaling = next(one for one in journal.decisions if one.action and hasattr(one.action, "to_replicas"))
    return [
        Outcome(
            id=scaling.id, action=Kind.SCALE, service="web", status=Status.DONE, detail="1 → 2 replicas",
            ended_at_ms=scaling.at_ms + 40,
        )
    ]  # fmt: skip


def told(journal, service="web", stretch=HOUR):
    return account(service, stretch, journal.records, journal.decisions, outcomes_of(journal))[0]


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


def test_an_event_that_was_sent_again_is_one_entry_that_says_so(journal):
    for _ in range(3):
        journal.deploy("finished", "3", event_id="same")
    (entry,) = [one for one in told(journal).entries if one.text == "deployed 3 in prod"]
    assert entry.detail["sent"] == 3


def test_the_replicas_before_the_stretch_are_where_it_begins(journal):
    found = told(journal, stretch=(START_MS + 3000, START_MS + 60_000))
    assert found.replicas[0] == (START_MS + 3000, 1, 1)
    assert all(one.at_ms >= START_MS + 3000 for one in found.entries if not one.arrived_ms)


def test_a_flood_is_cut_and_counted(journal, monkeypatch):
    monkeypatch.setattr(module, "MOST", 2)
    found = told(journal)
    assert sum(one.kind == "action" for one in found.entries) == 2
    assert found.left_out["action"] > 0


def test_the_account_is_a_document_that_can_be_read_back(journal):
    plain = msgspec.json.decode(msgspec.json.encode(told(journal)))
    assert plain["service"] == "web"
    assert plain["entries"][0]["kind"]
    assert plain["metrics"]["cpu"][0][4] == 1


# metrics


def pack(service, *samples):
    """Samples as (instance, at_ms, value)."""
    hosts = sorted({host for host, _, _ in samples})
    series = [Series(service, "cpu", {"host": host}) for host in hosts]
    each = range(len(samples))
    return Samples(
        Source("metrics", "id", 0, 0, len(samples)), series, [hosts.index(host) for host, _, _ in samples],
        [at for _, at, _ in samples], [value for _, _, value in samples], list(each), [0 for _ in each],
    )  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 99_999), st.floats(-1e6, 1e6)), min_size=1))
def test_condensing_loses_no_sample_and_no_extreme(samples):
    condensed = Condensed("web", 0, 100_000)
    condensed.take(pack("web", *samples))
    (buckets,) = condensed.metrics().values()
    assert len(buckets) <= BUCKETS
    assert sum(one.count for one in buckets) == condensed.samples == len(samples)
    assert min(one.least for one in buckets) == min(value for _, _, value in samples)
    assert max(one.most for one in buckets) == max(value for _, _, value in samples)
    assert [one.at_ms for one in buckets] == sorted(one.at_ms for one in buckets)


def test_samples_of_others_and_outside_of_the_stretch_do_not_count():
    condensed = Condensed("web", 1000, 2000)
    condensed.take(pack("api", ("a", 1500, 1.0)))
    condensed.take(pack("web", ("a", 999, 1.0), ("a", 2000, 1.0), ("a", 1000, 1.0)))
    assert condensed.samples == 1


def test_a_metric_is_told_first_last_and_when_it_moved_by_a_quarter():
    means = [10, 11, 12, 13, 14, 5, 5, 5]
    buckets = [Bucket(n, float(mean), 1, mean, mean) for n, mean in enumerate(means)]
    assert [one.mean for one in notable(buckets)] == [10, 13, 5, 5]


# the page


def test_the_page_has_every_entry_and_a_line_for_every_metric(journal):
    found = told(journal)
    page = html(found, START_MS)
    assert page.count("<tr class=") == len(found.entries)
    assert page.count("<polyline") == 2, "cpu and the replicas"
    assert 'href="#' in page, "causes are links"


def test_the_page_needs_nothing_else_and_hostile_names_stay_names():
    name = '"><script>alert(1)</script><img src=x onerror=y>'
    journal = Journal()
    journal.deploy("finished", name, service=name, who=name, link="javascript:alert(1)")
    page = html(account(name, HOUR, journal.records, journal.decisions, [])[0], START_MS)
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page
    assert re.findall(r"""<[^>]*\b(?:src|href)=["']?(?!#)""", page) == []
    assert "url(" not in page


def test_a_page_of_nothing_says_so():
    page = html(account("web", HOUR, [], [], [])[0], START_MS)
    assert "Nothing happened" in page
