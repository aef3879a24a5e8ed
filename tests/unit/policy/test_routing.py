"""The ways that an alert goes: Alertmanager's tree of routes, inhibition, and the mistakes of an Alerting document."""

import pytest

from app.policy.files import PolicyError, load
from app.policy.inhibit import inhibitor
from app.policy.kinds import KINDS
from app.policy.routing import ways

ROUTE = {
    "receiver": "default",
    "routes": [
        {
            "matchers": ['team="shop"', "severity!=info"],
            "receiver": "shop",
            "group_wait": "10s",
            "routes": [
                {"matchers": ['env="test"'], "receiver": "shop-test", "repeat_interval": "1d"},
                {"matchers": ['env="prod"'], "receiver": "shop-pager", "group_wait": "1s", "continue": True},
                {"matchers": ['env=~"pro.*"', 'part=~".*"'], "receiver": "shop-log", "group_interval": "1m"},
            ],
        },
        {"matchers": ['team=~"data|search"'], "receiver": "data"},
        {"matchers": ['role="db"'], "routes": [{"matchers": ["severity=critical"], "receiver": "dba"}]},
    ],
}


def alerting(route=None, mode="active", **more):
    spec = {"route": ROUTE if route is None else route, "mode": mode} | more
    document = {"apiVersion": "headrace/v1", "kind": "Alerting", "metadata": {"name": "tell"}, "spec": spec}
    return KINDS["Alerting"].model_validate(document)


def alert(labels=None, then=None, mode="active", name="hot"):
    spec = {"service": "*", "expr": 'last("x") > 1.0', "labels": labels or {}, "then": then or {}, "mode": mode}
    document = {"apiVersion": "headrace/v1", "kind": "Alert", "metadata": {"name": name}, "spec": spec}
    return KINDS["Alert"].model_validate(document)


def times(one):
    return (one.wait_ms, one.interval_ms, one.repeat_ms)


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ({}, ["default"]), ({"team": "other"}, ["default"]), ({"team": "shop"}, ["shop"]),
        ({"team": "shop", "severity": "info"}, ["default"]), ({"team": "shop", "env": "stage"}, ["shop"]),
        ({"team": "shop", "env": "test"}, ["shop-test"]), ({"team": "shop", "env": "prod"}, ["shop-pager", "shop-log"]),
        ({"team": "shop", "env": "proto"}, ["shop-log"]), ({"team": "data"}, ["data"]),
        ({"team": "metadata"}, ["default"]), ({"role": "db"}, ["default"]),
        ({"role": "db", "severity": "critical"}, ["dba"]),
    ],
)  # fmt: skip
def test_the_first_route_that_matches_counts_the_deepest_and_more_where_it_says_continue(labels, receivers):
    assert [one.receiver for one in ways(alert(labels), "web", alerting())] == receivers


def test_a_route_takes_over_what_it_does_not_say_and_the_root_has_alertmanagers_defaults():
    (root,) = ways(alert(), "web", alerting())
    assert times(root) == (30_000, 300_000, 14_400_000)
    pager, log = ways(alert({"team": "shop", "env": "prod"}), "web", alerting())
    assert times(pager) == (1_000, 300_000, 14_400_000)
    assert times(log) == (10_000, 60_000, 14_400_000)
    (test,) = ways(alert({"team": "shop", "env": "test"}), "web", alerting())
    assert times(test) == (10_000, 300_000, 86_400_000)


def test_each_way_has_a_name_of_its_own_and_it_changes_with_the_receiver():
    twins = {"receiver": "a", "routes": [{"matchers": ["x=y"], "receiver": "b", "continue": True}] * 2}
    keys = [one.key for one in ways(alert({"x": "y"}), "web", alerting(twins))]
    assert keys == ['/{x="y"} > b', '/{x="y"}#1 > b']
    assert ways(alert(), "web", alerting({"receiver": "c"}))[0].key != ways(alert(), "web", alerting(twins))[0].key


def test_the_alerts_name_and_service_are_labels():
    route = {"receiver": "a", "routes": [{"matchers": ['alertname="hot"', 'service=~"web-.*"'], "receiver": "b"}]}
    assert [ways(alert(), name, alerting(route))[0].receiver for name in ("web-1", "web")] == ["b", "a"]


def test_an_alert_that_names_its_receiver_goes_there_at_once_and_past_all_routes():
    own = alert({"team": "shop"}, {"notify": {"receiver": "me", "repeat_interval": "1h"}})
    for tell in (alerting(), None):
        (one,) = ways(own, "web", tell)
        assert (one.receiver, *times(one)) == ("me", 0, 0, 3_600_000)
    assert ways(alert(), "web", None) == ()


def test_what_is_on_trial_never_shares_a_group_with_what_is_in_force():
    (real,) = ways(alert(), "web", alerting())
    (trial,) = ways(alert(mode="shadow"), "web", alerting())
    (routes_on_trial,) = ways(alert(), "web", alerting(mode="shadow"))
    assert len({real.key, trial.key}) == 2
    assert (real.shadow, trial.shadow, routes_on_trial.shadow) == (False, True, True)
    assert (trial.policy.kind, routes_on_trial.policy.kind) == ("Alert", "Alerting")


RULES = alerting(
    inhibit_rules=[
        {
            "source_matchers": ["severity=critical"],
            "target_matchers": ['severity=~"warning|critical"'],
            "equal": ["zone"],
        }
    ]
).spec.inhibit_rules


@pytest.mark.parametrize(
    ("labels", "firing", "by"),
    [
        ({"severity": "warning"}, {"c": {"severity": "critical"}}, "c"),
        ({"severity": "warning"}, {"c": {"severity": "warning"}}, ""),
        ({"severity": "info"}, {"c": {"severity": "critical"}}, ""),
        ({"severity": "warning", "zone": "a"}, {"c": {"severity": "critical", "zone": "b"}}, ""),
        ({"severity": "warning", "zone": "a"}, {"c": {"severity": "critical", "zone": "a"}}, "c"),
        ({"severity": "warning", "zone": ""}, {"c": {"severity": "critical"}}, "c"),
        ({"severity": "critical"}, {"me": {"severity": "critical"}, "c": {"severity": "critical"}}, ""),
        ({"severity": "warning"}, {}, ""),
    ],
)
def test_an_alert_inhibits_another_with_equal_labels_and_never_itself(labels, firing, by):
    assert inhibitor(RULES, labels, firing) == by


TELL = """
apiVersion: headrace/v1
kind: Alerting
metadata: {{name: {name}}}
spec:
  route: {route}
  time_intervals: [{{name: night, time_intervals: [{{times: [{{start_time: "00:00", end_time: "06:00"}}]}}]}}]
"""


@pytest.mark.parametrize(
    ("route", "why"),
    [
        ("{}", "has to have one"), ("{receiver: a, matchers: [x=y]}", "root"),
        ("{receiver: a, mute_time_intervals: [night]}", "root"), ("{receiver: a, group_interval: 0s}", "cannot be 0"),
        ("{receiver: a, routes: [{repeat_interval: 0s}]}", "cannot be 0"),
        ("{receiver: a, group_by: [x]}", "by service"),
        ("{receiver: a, routes: [{mute_time_intervals: [day]}]}", "there are night"),
        ("{receiver: a, routes: [{matchers: [x]}]}", "no matcher"), ("{receiver: a, group_wait: soon}", "no duration"),
        ("{receiver: a, routes: [" + "{}," * 200 + "{}]}", "at most 200"),
    ],
)  # fmt: skip
def test_a_mistake_of_an_alerting_document_is_told(route, why):
    with pytest.raises(PolicyError, match=why):
        load({"a.yaml": TELL.format(name="tell", route=route)})


ALERT = """
apiVersion: headrace/v1
kind: Alert
metadata: {name: hot}
spec: {service: web, expr: 'last("x") > 1.0', then: {notify: {}}}
"""


def test_a_set_has_one_alerting_at_most():
    one, two = (TELL.format(name=name, route="{receiver: a, group_by: [service]}") for name in ("one", "two"))
    assert len(load({"a.yaml": one})) == 1
    with pytest.raises(PolicyError, match=r"b.yaml:3: kind: a set has one Alerting at most, and 'one' is one"):
        load({"a.yaml": one, "b.yaml": two})


def test_an_alert_that_wants_people_told_and_has_nobody_to_tell_is_a_mistake():
    with pytest.raises(PolicyError, match=r"a.yaml:5: spec.then.notify: names no receiver"):
        load({"a.yaml": ALERT})
    assert len(load({"a.yaml": ALERT, "b.yaml": TELL.format(name="tell", route="{receiver: a}")})) == 2
    assert len(load({"a.yaml": ALERT.replace("notify: {}", "notify: {receiver: b}")})) == 1
    with pytest.raises(PolicyError, match="a route of Alerting has its own"):
        load({"a.yaml": ALERT.replace("notify: {}", "notify: {repeat_interval: 1h}")})
