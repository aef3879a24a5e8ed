"""Whatever happened, in whatever order it came: a timeline is in the order of time, and no cause is missing."""

from hypothesis import given, settings
from hypothesis import strategies as st

from app.history.timeline import account
from tests.unit.history.incident import HOUR
from tests.unit.policy.builders import START_MS, Journal, policy
from tests.unit.policy.test_route import route


def facts_in_any_order():
    """Steps of a service's life: what is put on the journal, and how far its sender's clock is off."""
    return st.lists(
        st.tuples(
            st.sampled_from(["deploy", "change", "samples", "instances", "pause", "again"]),
            st.integers(-900, 5),
            st.integers(1, 99),
        ),
        max_size=25,
    )


def lived(steps):
    """The journal of such a life."""
    journal = Journal()
    journal.policies(policy(), route())
    do = {
        "deploy": lambda off_s, number: journal.deploy("finished", f"{number}", at_s=off_s),
        "change": lambda _, number: journal.change(f"timeout {number} s"),
        "samples": lambda off_s, number: journal.samples(number, number, after_s=1, at_s=off_s),
        "instances": lambda _, number: journal.instances(number % 9 + 1, after_s=1),
        "pause": lambda _, number: journal.command("pause" if number % 2 else "resume"),
        "again": lambda *_: journal.deploy("finished", "7", event_id="same"),
    }
    for kind, off_s, number in steps:
        do[kind](off_s, number)
    return journal


@settings(max_examples=40, deadline=None)
@given(facts_in_any_order())
def test_entries_are_in_the_order_of_time_and_every_cause_is_there_or_on_the_journal(steps):
    journal = lived(steps)
    found, _ = account("web", (START_MS - 1_000_000, HOUR[1]), journal.records, journal.decisions, [])
    assert [one.at_ms for one in found.entries] == sorted(one.at_ms for one in found.entries)
    ids = {one.id: one for one in found.entries if one.id}
    places = {f"{one.partition}/{one.offset}" for one in journal.records}
    for one in found.entries:
        assert bool(one.cause) == (one.kind in {"action", "refusal"})
        cause = ids.get(one.cause)
        assert cause is not None or not one.cause or one.cause in places
        if cause is not None and cause.kind != "deploy":  # a deploy has the time of its sender
            assert cause.at_ms <= one.at_ms
