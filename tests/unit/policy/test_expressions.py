"""Expressions and the windows that they are asked of: what is known, what is not, and what is no policy."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.policy.calls import Call, calls_of
from app.policy.columns import KEPT_FOR, MOST, NEWEST, TOTALS
from app.policy.expression import LONGEST, Expression
from app.policy.files import PolicyError, load
from app.policy.state import pack
from app.policy.windows import BUCKETS, Keep, Window, width_for
from tests.unit.policy.builders import reasons
from tests.unit.policy.test_alerts import alert, journal, run, states, told

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
    assert found.reads == {"cpu": Keep(300_000, TOTALS | MOST), "errors": Keep(30_000, NEWEST), "limit": Keep()}


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
    assert made.reads == {"cpu": Keep(call.window_ms, KEPT_FOR.get(call.function, 0))}


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
