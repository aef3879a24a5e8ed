"""What the calls of an expression come to: which series are asked, and from which moment on."""

import pytest

from app.policy.answers import Answers
from app.policy.calls import Call
from app.policy.expression import LONGEST, Expression, gives_a_number
from tests.unit.policy.builders import START_MS, Journal, policy
from tests.unit.policy.test_alerts import alert, states

WIDTH_MS = 2000
"""Of a bucket of the longest window that is asked for, 36 seconds."""


def journal(expr='min("cpu", "36s") + avg("cpu", "36s") > 1000.0'):
    made = Journal()
    made.policies(alert(expr=expr, for_="0s"))
    return made


def answer(made, call, since_ms=0):
    service = made.state.services["web"]
    return Answers(made.state, service, 30_000, since_ms).answer(call)


@pytest.mark.parametrize(("wanted", "said"), [(2, []), (3, ["ALERT_FIRING"])])
def test_replicas_are_those_of_the_service(wanted, said):
    made = journal('replicas() >= 3.0 && last("cpu") > 1.0')
    made.instances(wanted)
    assert states(made.samples(5)) == said
    assert answer(made, Call("replicas")) == wanted


@pytest.mark.parametrize(("late_ms", "value"), [(0, 20.0), (1, 30.0), (-1, 20.0)])
def test_after_a_moment_counts_the_first_bucket_that_has_nothing_of_before_it(late_ms, value):
    made = journal()
    begins_ms = START_MS // WIDTH_MS * WIDTH_MS + 4 * WIDTH_MS
    made.at_ms = begins_ms - WIDTH_MS
    for one in (10, 20, 30):
        made.samples(one)
        made.at_ms += WIDTH_MS
    assert answer(made, Call("min", "cpu", 36_000), begins_ms + late_ms) == value


@pytest.mark.parametrize("metric", ["cpu", 'cpu{host="web-0"}'])
@pytest.mark.parametrize(("age_s", "value"), [(29.999, 5.0), (30, None)])
def test_a_sample_that_is_as_old_as_stale_says_is_none(metric, age_s, value):
    made = journal()
    made.policies(alert(), policy(stale="5m"))
    made.samples(5)
    made.tick(after_s=age_s, behind_s=0)
    assert answer(made, Call("last", metric)) == value


# expressions


def test_an_expression_may_be_as_long_as_the_longest_and_no_longer():
    assert Expression("1.0".ljust(LONGEST)).number(float)[0] == 1.0
    with pytest.raises(ValueError, match="characters"):
        Expression("1.0".ljust(LONGEST + 1))


def test_what_each_call_came_to_is_said_with_its_words_also_where_nothing_can_be_said():
    made = Expression('ratio(last("a"), quantile("a", 1.0, "1m")) + 1.0')
    found = {"last": 3.0, "quantile": 0.0}
    assert made.number(lambda call: found[call.function]) == (
        None, {"last(a)": 3.0, "quantile(a, 1, 1m)": 0.0, "ratio(3, 0)": None}
    )  # fmt: skip


def test_a_number_may_depend_on_whether_there_are_samples_and_is_tried_as_if_there_were():
    text = 'absent("a") ? 1.0 : last("a")'
    assert gives_a_number(text) == text
    with pytest.raises(ValueError, match="gives false"):
        gives_a_number('absent("a") ? 1.0 : last("a") > 2.0')
