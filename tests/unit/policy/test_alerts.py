"""Alerts: their expressions, their windows, their states; and that unknown is neither true nor false."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.policy.calls import Call, calls_of
from app.policy.expression import LONGEST, Expression
from app.policy.files import PolicyError, load
from app.policy.state import pack, unpack
from app.policy.windows import BUCKETS, Keep, Window, width_for
from tasks.contract import Notify
from tests.unit.policy.builders import Journal, policy, reasons

ALERT = """
apiVersion: headrace/v1
kind: Alert
metadata: {{name: hot}}
spec:
  service: "web*"
  expr: '{expr}'
  for: {for_}
  keep_firing_for: {keep}
  every: 0s
  stale: 30s
  labels: {{severity: critical, team: shop}}
  annotations:
    summary: "{{{{ $labels.service }}}} is at {{{{ $value }}}}"
    description: "ask {{{{ $labels.team }}}}"
  then: {{notify: {{receiver: team, repeat_interval: {repeat}, send_resolved: {resolved}}}}}
  mode: {mode}
"""


def alert(expr='avg("cpu", "10s") > 90.0', for_="5s", keep="0s", repeat="1h", resolved="true", mode="active"):
    return ALERT.format(expr=expr, for_=for_, keep=keep, repeat=repeat, resolved=resolved, mode=mode)


def journal(**more):
    made = Journal()
    made.policies(alert(**more))
    return made


def run(made, *values, after_s=1):
    """A sample a second, and what was decided."""
    return [one for value in values for one in made.samples(value, after_s=after_s)]


def states(decided):
    """Reasons that are of the alert itself, and not of who is told of it."""
    return [one for one in reasons(decided) if one.startswith("ALERT_")]


def told(decided):
    return [one.action.title for one in decided if isinstance(one.action, Notify)]


# states


def test_it_is_pending_then_firing_then_over_and_people_are_told_of_the_last_two():
    made = journal()
    assert reasons(run(made, *[50] * 10)) == []
    rising = run(made, *[100] * 20)
    assert reasons(rising) == ["ALERT_PENDING", "ALERT_FIRING", "TOLD"]
    assert [one.action is None for one in rising] == [True, True, False]
    assert told(rising) == ["firing: web: web is at 100"]
    assert rising[2].action.severity == "critical"
    assert "ask shop" in rising[2].action.body
    assert rising[2].evidence["decision"] == rising[1].id
    falling = run(made, *[10] * 10)
    assert reasons(falling) == ["ALERT_RESOLVED", "TOLD"]
    assert told(falling)[0].startswith("resolved: web: ")
    assert falling[1].action.severity == "info"
    assert reasons(run(made, *[10] * 10)) == []


def test_what_does_not_last_never_fires():
    made = journal(for_="5s")
    decided = run(made, 100, 100, 100, *[10] * 10)
    assert reasons(decided) == ["ALERT_PENDING", "ALERT_RESOLVED"]
    assert told(decided) == [], "nobody was told of its beginning"


def test_it_goes_on_firing_for_as_long_as_it_is_to():
    made = journal(for_="0s", keep="20s")
    run(made, *[100] * 5)
    assert reasons(run(made, *[0] * 15)) == []
    assert reasons(run(made, *[0] * 15)) == ["ALERT_RESOLVED", "TOLD"]


def test_people_are_told_again_while_it_fires_and_of_the_end_only_if_they_want():
    made = journal(for_="0s", repeat="10s", resolved="false")
    assert len(told(run(made, *[100] * 25))) == 3
    over = run(made, *[0] * 20)
    assert (reasons(over), told(over)) == (["ALERT_RESOLVED"], [])


def test_unknown_neither_fires_nor_resolves_and_is_said_once():
    made = journal(for_="0s")
    run(made, *[100] * 3)
    silent = [one for _ in range(10) for one in made.tick(after_s=10, behind_s=0)]
    assert reasons(silent) == ["ALERT_UNKNOWN"]
    assert silent[0].evidence["values"] == {"avg(cpu, 10s)": None}
    back = run(made, *[100] * 3)
    assert reasons(back) == ["ALERT_FIRING"], "they know already"
    assert reasons(run(made, *[0] * 20)) == ["ALERT_RESOLVED", "TOLD"]


def test_unknown_is_not_said_before_anything_was_known_for_a_while_and_its_end_is_no_resolution():
    made = journal(expr='avg("gone", "10s") > 1.0 || last("cpu") > 90.0')
    assert reasons(run(made, *[50] * 25)) == []
    assert reasons(run(made, *[50] * 10)) == ["ALERT_UNKNOWN"]
    assert reasons(made.samples(0, name="gone", after_s=1)) == ["ALERT_INACTIVE"]


def test_an_alert_on_trial_is_recorded_as_such():
    made = journal(for_="0s", mode="shadow")
    decided = run(made, 100)
    assert [one.shadow for one in decided] == [True, True]
    assert journal(mode="off").samples(100, after_s=1) == []


def test_it_stands_beside_a_scaling_of_the_same_service():
    made = Journal()
    made.policies(alert(for_="0s"), policy(service="web"))
    made.instances(2)
    assert set(reasons(made.samples(95, 95))) == {"ABOVE_TARGET", "ALERT_FIRING", "TOLD"}


def test_its_state_survives_being_packed():
    made = journal(for_="5s")
    run(made, *[100] * 3)
    made.state = unpack(pack(made.state))
    assert reasons(run(made, *[100] * 5)) == ["ALERT_FIRING", "TOLD"]


# expressions


def ask(values):
    return lambda call: values.get((call.function, call.metric, call.window_ms))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('avg("cpu", "1m") > 90.0', True), ('avg("cpu", "1m") < 90.0', False), ('avg("gone", "1m") > 1.0', None),
        ('avg("gone", "1m") > 1.0 || avg("cpu", "1m") > 90.0', True),
        ('avg("gone", "1m") > 1.0 && avg("cpu", "1m") > 90.0', None),
        ('!(avg("gone", "1m") > 1.0)', None), ('absent("x")', True), ('absent("x") && last("cpu") > 1.0', True),
        ('avg("cpu", "1m") / 100.0 < 1.0', True), ('avg("cpu", "1m")', None), ("replicas() >= 3.0", True),
        ('last("gone") != 5.0', None), ('last("gone") == last("gone")', None), ('last("gone") in [1.0]', None),
        ('last("gone") != 5.0 || absent("x")', True), ('last("gone") != 5.0 && !absent("x")', False),
        ('ratio(last("cpu"), avg("cpu", "1m")) < 0.06', True), ('ratio(last("cpu"), last("none")) > 0.0', None),
        ('ratio(last("none"), last("none")) > 0.0', None), ('ratio(last("gone"), last("cpu")) > 0.0', None),
        ('ratio(last("cpu"), last("gone")) < 1.0', None), ('last("nan") != 0.0', None), ('last("inf") > 1.0', None),
    ],
)  # fmt: skip
def test_an_expression_is_true_false_or_unknown(text, found):
    values = {("avg", "cpu", 60_000): 95.0, ("absent", "x", 0): True, ("last", "cpu", 0): 5.0, ("replicas", "", 0): 3.0}
    values |= {("last", "none", 0): 0.0, ("last", "nan", 0): math.nan, ("last", "inf", 0): math.inf}
    assert Expression(text).evaluate(ask(values))[0] is found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('avg("cpu", "1m")', 95.0), ('avg("cpu", "1m") > 90.0', None), ("1 + 1", 2.0), ('avg("gone", "1m")', None),
        ('avg("cpu", "1m") / 0.0', None), ('avg("cpu", "1m") * 100', None), ("0.0 / 0.0", None),
    ],
)  # fmt: skip
def test_an_expression_is_a_number_or_unknown(text, found):
    assert Expression(text).number(ask({("avg", "cpu", 60_000): 95.0}))[0] == found


def test_what_has_to_be_kept_is_known_beforehand():
    found = Expression('avg("cpu", "1m") > max("cpu", "5m") || rate("errors", "30s") > last("limit")')
    assert found.reads == {"cpu": Keep(300_000), "errors": Keep(30_000), "limit": Keep()}


@pytest.mark.parametrize(
    ("text", "call"),
    [
        (r'avg("cpu{env=\"prod\",host!=\"a\"}", "1m") > 1.0', Call("avg", 'cpu{env="prod",host!="a"}', 60_000)),
        ("""avg('cpu{env="prod"}', '1m') > 1.0""", Call("avg", 'cpu{env="prod"}', 60_000)),
        ('quantile("cpu", 0.95, "5m") > 1.0', Call("quantile", "cpu", 300_000, 0.95)),
        ('quantile("cpu", 1, "5m") > 1.0 // avg("no", "1m")', Call("quantile", "cpu", 300_000, 1.0)),
    ],
)
def test_what_is_asked_is_what_was_known_beforehand(text, call):
    heard = []
    made = Expression(text)
    made.evaluate(heard.append)
    assert heard == calls_of(text) == [call]
    assert made.reads == {"cpu": Keep(call.window_ms, values=call.function == "quantile")}


def test_matchers_choose_the_series_that_count():
    made = journal(expr=r'avg("cpu{host!=\"web-1\"}", "10s") > 90.0 && absent("cpu{host=\"db\"}")', for_="0s")
    assert reasons(made.samples(100, 0, after_s=1)) == ["ALERT_FIRING", "TOLD"]
    one = journal(expr=r'last("cpu{host=~\"web-.*\"}") > 90.0')
    assert states(run(one, 100)) == ["ALERT_PENDING"]
    other = journal(expr=r'last("cpu{host=~\"eb\"}") > 90.0')
    assert run(other, 100) == [], "a regular expression has to fit the whole of it"


def test_a_quantile_is_one_of_all_samples_of_the_window():
    made = journal(expr='quantile("cpu", 0.5, "1m") > 40.0', for_="0s")
    assert run(made, 10, 20, 30, 40) == []
    fired = run(made, 90, 90, 90, 90)
    assert fired[0].evidence["values"]["quantile(cpu, 0.5, 1m)"] == pytest.approx(65)


def test_the_value_of_an_alert_is_its_ratio_if_it_has_one():
    made = journal(expr='ratio(last("cpu"), last("all")) > 0.5', for_="0s")
    made.samples(200, name="all", after_s=1)
    assert told(run(made, 150)) == ["firing: web: web is at 0.75"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1 +", "Syntax"), ('nope("cpu")', "nope is not known"), ("cpu > 1.0", "cpu is not known"),
        ('avg("cpu") > 1.0', "a metric and a window"), ('last("cpu", "1m") > 1.0', "a metric, like"),
        ('avg("cpu", "2h") > 1.0', "not within"), ('avg("cpu", "soon") > 1.0', "no duration"),
        ('avg("a" + "b", "1m") > 1.0', "as they stand"), ('avg("a", "1m") > avg("a" + "b", "1m")', "as they stand"),
        ('"cpu".last() > 1.0', "as they stand"), ('r"x" == "x"', "another kind"),
        ("ratio(1.0) > 1.0", "two numbers"),
        ('quantile("cpu", "1m") > 1.0', "a share"), ('quantile("cpu", 2.0, "1m") > 1.0', "from 0 to 1"),
        ('last("cpu{host}") > 1.0', "no matcher"), ('last("cpu{host=~\'(\'}") > 1.0', "no regular expression"),
        ('last("{host=\'a\'}") > 1.0', "names no series"), ('[1.0].exists(x, last("cpu") > x)', "exists is not known"),
        ('last("a\\n") > 1.0', "backslash"), ('replicas("web") > 1.0', "takes nothing"),
        ("true " + "|| true " * LONGEST, "characters"),
    ],
)  # fmt: skip
def test_an_expression_with_a_mistake_is_no_policy(text, why):
    with pytest.raises(ValueError, match=why):
        Expression(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('last("a") / last("b") > 1.0', "divide"), ('last("a") / 0.0 > 1.0', "divide"), ('last("a")', "neither true"),
        ('last("a") / (2.0) > 1.0', "divide"), ('last("a") * 2 > 1.0', "write 2.0"), ('"a" > 1.0', "neither true"),
    ],
)  # fmt: skip
def test_an_expression_that_is_neither_true_nor_false_or_could_be_infinite_is_no_alert(text, why):
    with pytest.raises(PolicyError, match=why):
        load({"a.yaml": alert(expr=text)})


def test_an_alert_may_divide_by_a_number_and_compare_what_is_equal_by_chance():
    for text in ('ratio(last("a"), last("b") - last("c")) > 0.5', 'last("a") / 1e2 > 1.0', '!absent("a")'):
        assert load({"a.yaml": alert(expr=text)})


def test_a_mistake_in_an_expression_or_a_template_is_told_with_its_line():
    bad = alert(expr="1 +").replace("ask {{ $labels.team }}", "ask {{ .Team }}")
    with pytest.raises(PolicyError) as raised:
        load({"a.yaml": bad})
    said = [str(one) for one in raised.value.problems]
    assert any("a.yaml:7: spec.expr" in line for line in said)
    assert any("spec.annotations" in line for line in said)


# windows

SAMPLES = st.lists(st.tuples(st.integers(0, 100_000), st.floats(-1e6, 1e6)), min_size=1, max_size=60)


def window_of(samples, width_ms=2000):
    made = Window.of(width_ms)
    for at_ms, value in samples:
        made.add(at_ms, value)
    return made


@given(SAMPLES)
@settings(deadline=None)
def test_a_window_keeps_no_more_than_its_buckets_and_they_are_in_order(samples):
    found = window_of(samples).buckets
    assert len(found) <= BUCKETS + 1
    assert [one.place for one in found] == sorted({one.place for one in found})


@given(SAMPLES, st.randoms())
@settings(deadline=None)
def test_samples_in_any_order_fill_the_same_window(samples, random):
    recent = [(at_ms, value) for at_ms, value in dict(samples).items() if at_ms >= max(samples)[0] - 38_000]
    other = random.sample(recent, len(recent))
    one, two = window_of(recent), window_of(other)
    for a, b in zip(one.buckets, two.buckets, strict=True):
        assert (a.place, a.samples, a.least, a.most) == (b.place, b.samples, b.least, b.most)
        assert (a.last, a.after_ms) == (b.last, b.after_ms)
        assert a.total == pytest.approx(b.total)


@given(SAMPLES)
@settings(deadline=None)
def test_a_window_holds_every_sample_of_its_time(samples):
    last = max(at_ms for at_ms, _ in samples)
    found = window_of(samples).since(last - 30_000)
    inside = [value for at_ms, value in samples if at_ms > last - 30_000]
    assert sum(one.samples for one in found) >= len(inside)
    assert min(one.least for one in found) <= min(inside)
    assert max(one.most for one in found) >= max(inside)


def test_a_full_window_of_five_minutes_is_below_a_kilobyte():
    made = journal(expr='avg("cpu", "5m") > 1000.0')
    before = len(pack(made.state))
    run(made, *range(400))
    assert len(made.state.services["web"].series) == 1
    assert len(pack(made.state)) - before < 1000 + 300, "300 are the service itself"
    assert width_for(300_000) == 16_667


def test_a_rate_counts_resets_as_beginnings_and_adds_up_over_instances():
    made = journal(expr='rate("cpu", "20s") > 1.5', for_="0s")
    for n in range(20):
        found = made.samples(n, n, after_s=1)
        if n == 10:
            assert found[0].evidence["values"]["rate(cpu, 20s)"] == pytest.approx(2.0) if found else True
    fired = [one for one in made.decisions if one.reason.value == "ALERT_FIRING"]
    assert fired[0].evidence["values"]["rate(cpu, 20s)"] == pytest.approx(2.0)
    for n in range(5):
        made.samples(n, n, after_s=1)
    assert not [one for one in made.decisions if one.reason.value == "ALERT_RESOLVED"], "a restart is no fall"


# silences


def test_a_silenced_alert_is_recorded_and_nobody_is_told_until_the_silence_ends():
    made = journal(for_="0s")
    made.command("silence", "web", until_ms=made.at_ms + 10_000, alert="hot")
    fired = run(made, *[100] * 8)
    assert (reasons(fired), told(fired)) == (["ALERT_FIRING", "SILENCED"], [])
    assert fired[1].evidence["silenced"] == {"author": "ann", "reason": "lunch", "until_ms": made.at_ms + 2_000}
    later = run(made, *[100] * 5)
    assert reasons(later) == ["TOLD"], "it still fires, and now people are told"
    assert len(told(later)) == 1


def test_a_silence_can_be_ended_and_what_was_over_before_is_never_told():
    made = journal(for_="0s")
    made.command("silence", "web", alert="h*")
    run(made, *[100] * 3, *[0] * 15)
    made.command("unsilence", "web", alert="h*")
    assert told(made.decisions) == []
    assert len(told(run(made, *[100] * 15))) == 1


@pytest.mark.parametrize(
    ("service", "alert_", "holds"),
    [("*", "*", True), ("we*", "hot", True), ("api", "*", False), ("web", "cold", False)],
)
def test_a_silence_is_for_the_services_and_alerts_it_names(service, alert_, holds):
    made = journal(for_="0s")
    made.command("silence", service, alert=alert_)
    assert (told(run(made, 100)) == []) == holds
