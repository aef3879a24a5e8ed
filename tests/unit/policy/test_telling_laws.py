"""The laws of telling people, on random journals: how often, of what, and what may only take away."""

from hypothesis import given, settings
from hypothesis import strategies as st

from app.policy.state import pack, unpack
from tasks.contract import Notify
from tests.unit.policy.builders import Journal
from tests.unit.policy.groups import alert

WAIT_MS, INTERVAL_MS, REPEAT_MS, OWN_MS = 3_000, 10_000, 40_000, 20_000

ALERTS = [
    alert("a", severity="warning", stale="15s"),
    alert("b", severity="critical", stale="15s", for_="2s", keep="3s"),
    alert("c", severity="warning", stale="15s", then="{notify: {receiver: me, repeat_interval: 20s}}"),
    alert("d", stale="15s", then="{notify: {send_resolved: false}}"),
]

ROUTES = """
apiVersion: headrace/v1
kind: Alerting
metadata: {{name: tell}}
spec:
  route:
    receiver: team
    group_wait: 3s
    group_interval: 10s
    repeat_interval: 40s
    routes:
      - {{matchers: ["severity=critical"], receiver: pager, continue: true}}
      - {{matchers: ['severity=~"warning|critical"'], receiver: team, mute_time_intervals: [{mute}]}}
  inhibit_rules: {rules}
  time_intervals:
    # the journal of the tests begins at 22:13:20
    - {{name: quiet, time_intervals: [{{times: [{{start_time: "22:14", end_time: "22:15"}}]}}]}}
    - {{name: never, time_intervals: [{{years: ["1999"]}}]}}
"""

GUARDED = ROUTES.format(
    mute="quiet", rules="[{source_matchers: [severity=critical], target_matchers: [severity=warning]}]"
)
UNGUARDED = ROUTES.format(mute="never", rules="[]")

SERVICES, NAMES = ("web", "api"), ("a", "b", "c", "d")

MOSTLY_WEB = st.sampled_from(["web", "web", "web", "api"])
SAMPLES = st.tuples(st.just("sample"), MOSTLY_WEB, st.sampled_from(NAMES), st.sampled_from([0, 1]))
COMMANDS = st.one_of(
    st.tuples(st.just("silence"), MOSTLY_WEB, st.sampled_from([*NAMES, "*"]), st.integers(0, 40)),
    st.tuples(st.just("unsilence"), MOSTLY_WEB, st.sampled_from([*NAMES, "*"])),
)
MOVES = st.one_of(SAMPLES, SAMPLES, SAMPLES, st.tuples(st.just("tick"), st.integers(0, 12)), COMMANDS)
WALKS = st.lists(st.tuples(MOVES, st.sampled_from([0, 1, 1, 2, 4, 8])), min_size=20, max_size=80)


def walk(moves, *policies, silences=True):
    """A journal from moves; without silences they are of an alert that does not exist."""
    made = Journal()
    made.policies(*policies)
    for (kind, *args), after_s in moves:
        if kind == "sample":
            made.samples(args[2], service=args[0], name=args[1], after_s=after_s)
        elif kind == "tick":
            made.tick(after_s=after_s, behind_s=args[0])
        else:
            until_ms = made.at_ms + args[2] * 1000 if kind == "silence" and args[2] else 0
            made.command(kind, args[0], until_ms, args[1] if silences else "none")
    return made


def messages(made):
    """(service, route and receiver, decision) of each message, in order."""
    return [
        (one.service, (one.evidence.get("route", one.policy), one.evidence["receiver"]), one)
        for one in made.decisions
        if isinstance(one.action, Notify)
    ]


def names(one, word):
    return [alert["alert"] for alert in one.evidence.get(word, ())]


def states(made):
    return [
        (one.at_ms, one.service, one.policy, one.reason.value)
        for one in made.decisions
        if one.reason.startswith("ALERT_")
    ]


@given(WALKS)
@settings(max_examples=60, deadline=None)
def test_nobody_is_told_more_often_than_the_intervals_allow(moves):
    last = {}
    for service, way, one in messages(walk(moves, *ALERTS, GUARDED)):
        own = way[1] == "me"
        before = last.get((service, way))
        if before is not None:
            assert one.at_ms - before >= (0 if own else INTERVAL_MS)
            if one.evidence["why"] == "repeated":
                assert one.at_ms - before >= (OWN_MS if own else REPEAT_MS)
        last[service, way] = one.at_ms


@given(WALKS)
@settings(max_examples=60, deadline=None)
def test_a_message_says_something_new_or_is_a_repetition_and_an_end_has_a_beginning_told_to_the_same_people(moves):
    known = {}
    for service, way, one in messages(walk(moves, *ALERTS, GUARDED)):
        told = known.setdefault((service, way), set())
        firing, over = names(one, "firing"), names(one, "resolved")
        assert set(over) <= told
        assert "d" not in over, "nobody wants to hear of its end"
        fresh = bool(set(firing) - told)
        again = "d" in firing and "d" in told  # its end is not told, so it may have begun anew
        assert (one.evidence["why"] == "new") == fresh or (again and not fresh)
        assert one.evidence["why"] != "repeated" or (firing and not over)
        assert firing or over
        told |= set(firing)
        told -= set(over)
        if "d" not in firing:
            told.discard("d")


@given(WALKS)
@settings(max_examples=60, deadline=None)
def test_what_is_told_is_so_and_unknown_neither_fires_nor_resolves(moves):
    made = walk(moves, *ALERTS, GUARDED)
    firing = {}
    for one in made.decisions:
        if one.reason in {"ALERT_FIRING", "ALERT_RESOLVED"}:
            assert None not in one.evidence["values"].values()
            firing[one.service, one.policy] = one.reason == "ALERT_FIRING"
        elif isinstance(one.action, Notify):
            assert all(firing[one.service, name] for name in names(one, "firing"))
            assert not any(firing[one.service, name] for name in names(one, "resolved"))


@given(WALKS)
@settings(max_examples=60, deadline=None)
def test_silences_inhibitions_and_mutes_only_take_notifications_away(moves):
    guarded, free = walk(moves, *ALERTS, GUARDED), walk(moves, *ALERTS, UNGUARDED, silences=False)
    assert states(guarded) == states(free), "an alert is what it is, told or not"
    first, told = {}, {}
    for service, way, one in messages(free):
        for name in names(one, "firing"):
            first.setdefault((service, way, name), one.at_ms)
    for service, way, one in messages(guarded):
        for name in names(one, "firing"):
            assert first[service, way, name] <= one.at_ms
            told.setdefault((service, way, name), one.at_ms)
    refused = {(one.service, one.policy) for one in guarded.decisions if "untold" in one.evidence}
    for service, _, name in first.keys() - told.keys():
        assert (service, name) in refused, "what is taken away is said"


@given(WALKS)
@settings(max_examples=60, deadline=None)
def test_what_is_refused_at_a_moment_is_not_told_then_and_is_said_once(moves):
    said = {}
    for one in walk(moves, *ALERTS, GUARDED).decisions:
        if "untold" in one.evidence:
            way = (one.service, one.evidence.get("route", one.policy), one.evidence["receiver"])
            words = (one.reason, one.evidence["untold"])
            assert said.get((way, one.policy)) != words
            said[way, one.policy] = words
        elif isinstance(one.action, Notify):
            way = (one.service, one.evidence.get("route", one.policy), one.evidence["receiver"])
            for name in (*names(one, "firing"), *names(one, "resolved")):
                said.pop((way, name), None)
        elif one.reason in {"ALERT_FIRING", "ALERT_RESOLVED", "ALERT_UNKNOWN", "ALERT_PENDING"}:
            for key in [key for key in said if key[0][0] == one.service]:
                del said[key]


@given(WALKS, st.integers(0, 60))
@settings(max_examples=30, deadline=None)
def test_a_prefix_then_its_state_out_and_in_again_and_then_the_rest_equals_all_at_once(moves, cut):
    made = walk(moves, *ALERTS, GUARDED)
    again = Journal()
    for place, record in enumerate(made.records[1:], 1):
        if place == cut:
            again.state = unpack(pack(again.state))
        again.add(record.fact, (record.timestamp_ms - again.at_ms) / 1000)
    assert again.bytes() == made.bytes()
    assert pack(again.state) == pack(made.state)


@given(WALKS)
@settings(max_examples=30, deadline=None)
def test_what_is_remembered_is_bounded_and_a_calm_service_remembers_no_group(moves):
    made = walk(moves, *ALERTS, GUARDED)
    for service in made.state.services.values():
        assert len(service.groups) <= 4
        assert all(set(group.told) | set(group.refused) <= set(NAMES) for group in service.groups.values())
    for service in SERVICES:
        made.command("unsilence", service, 0, "*")
        for name in NAMES:
            made.command("unsilence", service, 0, name)
    for _ in range(12):
        for service in SERVICES:
            for name in NAMES:
                made.samples(0, service=service, name=name)
        made.tick(after_s=10, behind_s=0)
    assert [service.groups for service in made.state.services.values()] == [{}, {}]
