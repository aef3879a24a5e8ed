"""Who is told of alerts, when, and when not: groups as Alertmanager has them, inhibition, mutes, silences."""

from itertools import pairwise

import pytest

from app.policy.state import pack, unpack
from tasks.contract import Notify
from tests.unit.policy.builders import reasons
from tests.unit.policy.groups import Watched, alert, alerting, not_told, told

# groups


def test_the_first_alert_waits_for_others_and_they_are_told_together():
    made = Watched(alert("a"), alert("b", "critical"), alerting())
    assert told(made.set(a=1)) == []
    assert told(made.wait(20)) == []
    assert told(made.set(b=1)) == []
    decided = made.wait(15)
    assert told(decided) == ["firing 2: web: a is 1; b is 1"]
    assert 31 <= made.at_s(decided[-1]) < 36
    assert (decided[-1].policy, decided[-1].action.receiver, decided[-1].action.severity) == (
        "tell",
        "team",
        "critical",
    )
    assert [one["alert"] for one in decided[-1].evidence["firing"]] == ["a", "b"]
    assert decided[-1].evidence["why"] == "new"


def test_what_comes_or_ends_later_is_told_when_the_interval_is_over_in_one_message():
    made = Watched(alert("a"), alert("b"), alert("c"), alerting())
    made.set(a=1, b=1, c=0)
    assert told(made.wait(30)) == ["firing 2: web: a is 1; b is 1"]
    assert told(made.set(a=0, c=1)) == []
    assert told(made.wait(290)) == []
    decided = made.wait(20)
    assert told(decided) == ["firing 2, resolved 1: web: b is 1; c is 1; a is 0"]
    assert (decided[-1].evidence["why"], len(decided[-1].evidence["resolved"])) == ("new", 1)
    made.set(b=0, c=0)
    decided = made.wait(310)
    assert told(decided) == ["resolved 2: web: b is 0; c is 0"]
    assert decided[-1].action.severity == "info"


def test_nothing_new_is_told_again_only_when_it_is_due():
    made = Watched(alert("a"), alerting())
    made.set(a=1)
    decided = made.wait(2 * 3700, every=20)
    assert len(told(decided)) == 3
    times = [made.at_s(one) for one in decided if one.action]
    assert all(later - earlier >= 3600 for earlier, later in pairwise(times))
    assert decided[-1].evidence["why"] == "repeated"


def test_what_ends_before_it_was_told_is_never_told():
    made = Watched(alert("a"), alerting())
    made.set(a=1)
    made.set(a=0, after_s=10)
    assert told(made.wait(700)) == []
    assert made.state.services["web"].groups == {}


def test_what_comes_again_before_its_end_was_told_is_no_news():
    made = Watched(alert("a"), alerting())
    made.set(a=1)
    made.wait(40)
    made.set(a=0)
    made.set(a=1)
    assert told(made.wait(600)) == []


def test_a_group_that_has_ended_keeps_its_interval():
    made = Watched(alert("a"), alerting())
    made.set(a=1)
    made.wait(35)
    made.set(a=0)
    assert told(made.wait(300)) == ["resolved: web: a is 0"]
    made.set(a=1)
    assert told(made.wait(250)) == [], "no sooner than five minutes after the last word"
    assert told(made.wait(60)) == ["firing: web: a is 1"]
    made.set(a=0)
    made.wait(1000)
    assert made.state.services["web"].groups == {}


def test_services_are_told_of_one_by_one():
    made = Watched(alert("a"), alerting())
    made.samples(1, name="a", service="web", after_s=1)
    made.samples(1, name="a", service="api")
    assert sorted(told(made.wait(35))) == ["firing: api: a is 1", "firing: web: a is 1"]


def test_routes_send_alerts_to_their_receivers_each_with_its_own_times():
    pager = '{matchers: ["severity=critical"], receiver: pager, group_wait: 0s, continue: true}'
    made = Watched(
        alert("a"), alert("b", "critical"), alerting(f'[{pager}, {{matchers: ["severity!=info"], receiver: log}}]')
    )
    decided = made.set(b=1, a=1)
    assert [(one.action.receiver, one.action.title) for one in decided if one.action] == [
        ("pager", "firing: web: b is 1")
    ]
    decided = [one.action for one in made.wait(35) if one.action]
    assert [(one.receiver, one.title) for one in decided] == [
        ("team", "firing: web: a is 1"),
        ("log", "firing: web: b is 1"),
    ]


def test_an_alert_with_its_own_receiver_is_told_at_once_and_the_rest_go_their_way():
    made = Watched(alert("a", then="{notify: {receiver: me}}"), alert("b"), alerting())
    decided = [one.action for one in made.set(a=1, b=1) if one.action]
    assert [(one.receiver, one.title) for one in decided] == [("me", "firing: web: a is 1")]
    assert told(made.wait(35)) == ["firing: web: b is 1"]
    assert told(made.set(a=0)) == ["resolved: web: a is 0"]


def test_those_who_do_not_want_to_hear_of_the_end_do_not():
    made = Watched(alert("a", then="{notify: {send_resolved: false}}"), alert("b"), alerting())
    made.set(a=1, b=1)
    made.wait(35)
    made.set(a=0, b=0)
    assert told(made.wait(310)) == ["resolved: web: b is 0"]


def test_nobody_is_told_of_an_alert_without_a_receiver_where_no_alerting_is_in_force():
    made = Watched(alert("a"))
    assert reasons(made.set(a=1)) == ["ALERT_FIRING"]
    assert made.wait(400) == []


# unknown


def test_an_alert_that_becomes_unknown_goes_on_being_told_as_it_was():
    made = Watched(alert("a", stale="400s"), alerting())
    made.set(a=1)
    decided = made.wait(500)
    assert reasons(decided) == ["TOLD", "ALERT_UNKNOWN"]
    decided = made.wait(3700, every=20)
    assert told(decided) == ["firing: web: a is unknown"]
    assert "cannot be said" in decided[-1].action.body
    assert reasons(made.set(a=0)) == ["ALERT_RESOLVED"]
    assert told(made.wait(310)) == ["resolved: web: a is 0"]


# what keeps people from being told


def test_an_inhibited_alert_is_not_told_and_it_is_said_once():
    made = Watched(alert("a", "warning"), alert("b", "critical"), alerting())
    made.set(a=1, b=1)
    decided = made.wait(1000)
    assert told(decided) == ["firing: web: b is 1"]
    assert not_told(decided) == [("a", "INHIBITED", "firing")]
    assert next(one for one in decided if one.reason == "INHIBITED").evidence["inhibited_by"] == "b"
    made.set(b=0)
    assert told(made.wait(310)) == ["firing 1, resolved 1: web: a is 1; b is 0"]


def test_both_in_one_moment_the_inhibited_one_is_never_told_whatever_their_order():
    own = "{notify: {receiver: me}}"
    made = Watched(alert("a", "warning", own), alert("b", "critical", own), alerting())
    made.samples(0, name="b", after_s=1)
    made.set(b=1)
    decided = made.set(a=1)
    assert (told(decided), not_told(decided)) == ([], [("a", "INHIBITED", "firing")])
    assert told(made.set(b=0)) == ["firing: web: a is 1", "resolved: web: b is 0"]


def test_the_end_of_what_was_told_is_told_when_nothing_stands_against_it_any_more():
    made = Watched(alert("a", "warning"), alert("b", "critical"), alerting())
    made.set(a=1)
    made.wait(35)
    made.set(b=1, a=0)
    decided = made.wait(310)
    assert told(decided) == ["firing: web: b is 1"]
    assert not_told(decided) == [("a", "INHIBITED", "resolved")]
    made.set(b=0)
    assert told(made.wait(310)) == ["resolved 2: web: a is 0; b is 0"]


def test_a_muted_route_is_told_when_the_interval_is_over():
    made = Watched(
        alert("a"), alerting('[{matchers: ["severity=info"], mute_time_intervals: [evening], group_interval: 1m}]')
    )
    made.set(a=1)
    decided = made.wait(990)
    assert (told(decided), not_told(decided)) == ([], [("a", "MUTED", "firing")])
    assert decided[0].evidence["muted_by"] == "evening"
    assert told(made.wait(60)) == ["firing: web: a is 1"], "after half past ten"


def test_a_route_that_is_active_at_times_is_silent_at_others():
    made = Watched(alert("a"), alerting('[{matchers: ["severity=info"], active_time_intervals: [sunday]}]'))
    made.set(a=1)
    decided = made.wait(600)
    assert not_told(decided) == [("a", "MUTED", "firing")]
    assert decided[-1].evidence["active_only_in"] == ["sunday"]


def test_a_silence_keeps_what_is_told_again_back_and_that_is_said_once():
    made = Watched(alert("a", then="{notify: {receiver: me, repeat_interval: 1m}}"))
    assert told(made.set(a=1)) == ["firing: web: a is 1"]
    made.command("silence", "web", alert="a")
    decided = made.wait(600)
    assert (told(decided), not_told(decided)) == ([], [("a", "SILENCED", "repeated")])
    ended = made.set(a=0)
    assert (told(ended), not_told(ended)) == ([], [("a", "SILENCED", "resolved")])
    assert told(made.command("unsilence", "web", alert="a")) == ["resolved: web: a is 0"]


def test_only_the_silenced_alert_of_a_group_is_left_out():
    made = Watched(alert("a"), alert("b"), alerting())
    made.command("silence", "web", alert="a")
    made.set(a=1, b=1)
    decided = made.wait(35)
    assert told(decided) == ["firing: web: b is 1"]
    assert not_told(decided) == [("a", "SILENCED", "firing")]
    made.command("unsilence", "web", alert="a")
    assert told(made.wait(310)) == ["firing 2: web: a is 1; b is 1"]


# trials, policies that change, state


def test_on_trial_it_is_recorded_and_inhibits_nothing_real():
    made = Watched(alert("a", "warning"), alert("b", "critical", mode="shadow"), alerting())
    made.set(a=1, b=1)
    decided = [one for one in made.wait(35) if one.action]
    assert [(one.policy, one.shadow, one.action.title) for one in decided] == [
        ("tell", False, "firing: web: a is 1"), ("b", True, "firing: web: b is 1")
    ]  # fmt: skip


def test_routes_on_trial_are_recorded_and_keep_nobody_from_being_told():
    own = "{notify: {receiver: me}}"
    made = Watched(alert("a", "warning", own), alert("b", "critical"), alerting(mode="shadow"))
    made.set(b=1)
    assert told(made.set(a=1)) == ["firing: web: a is 1"], "the rule that inhibits is on trial"
    assert [one.shadow for one in made.wait(35) if one.action] == [True]


def test_groups_of_routes_that_are_gone_are_dropped_and_the_others_stay():
    made = Watched(alert("a"), alert("b"), alerting())
    made.set(a=1, b=1)
    made.wait(35)
    (key,) = made.state.services["web"].groups
    made.policies(alert("a"), alert("b"), alerting('[{matchers: ["alertname=b"], receiver: other}]'))
    groups = made.state.services["web"].groups
    assert list(groups) == [key, '/{alertname="b"} > other']
    assert told(made.wait(35)) == ["firing: web: b is 1"]
    assert told(made.wait(310)) == []
    assert list(groups[key].told) == ["a"], "b goes another way now"
    made.policies(alert("a"))
    assert made.state.services["web"].groups == {}
    made.policies()
    assert made.state.services["web"].groups == {}


def test_what_is_remembered_of_groups_survives_being_packed():
    made = Watched(alert("a"), alerting())
    made.set(a=1)
    made.state = unpack(pack(made.state))
    assert told(made.wait(35)) == ["firing: web: a is 1"]
    made.state = unpack(pack(made.state))
    assert told(made.wait(600)) == []


def test_a_message_of_many_alerts_is_bounded():
    names = [f"n{i}" for i in range(60)]
    made = Watched(*[alert(name) for name in names], alerting())
    made.set(**dict.fromkeys(names, 1))
    (one,) = [one.action for one in made.wait(35) if one.action]
    assert one.title.startswith("firing 60: web: n0 is 1; n1")
    assert len(one.title) <= 250
    assert "and 40 more" in one.body
    assert len(one.body) < 10_000


@pytest.mark.parametrize(("severity", "said"), [("critical", "critical"), ("info", "info"), ("warning", "warning")])
def test_how_severe_it_is_is_a_label(severity, said):
    made = Watched(alert("a", severity, "{notify: {receiver: me}}"))
    assert made.set(a=1)[-1].action.severity == said


def test_a_message_has_its_alerts_with_labels_texts_and_an_end_that_a_repeat_comes_before():
    made = Watched(alert("hot", then="{notify: {receiver: team, repeat_interval: 1h}}"))
    began_ms = made.at_ms + 1000
    (beginning,) = [one.action for one in made.set(hot=1) if isinstance(one.action, Notify)]
    (one,) = beginning.alerts
    assert one.labels == {"alertname": "hot", "service": "web", "severity": "info"}
    assert one.annotations == {"summary": "hot is 1"}
    assert (one.starts_ms, one.ends_ms) == (began_ms, began_ms + 2 * 3_600_000)
    (end,) = [one.action for one in made.set(after_s=60, hot=0) if isinstance(one.action, Notify)]
    assert (end.alerts[0].labels, end.alerts[0].starts_ms) == (one.labels, began_ms)
    assert end.alerts[0].ends_ms == began_ms + 60_000
