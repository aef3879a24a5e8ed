"""Criteria and verdicts, as Keptn has them; what is unknown stays unknown unless something settles it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.policy.criteria import criterion, every, some
from app.policy.files import PolicyError, compiled, load
from app.policy.judgement import Judged, Judgement
from tests.unit.policy.rollouts import rollout

THREE = st.sampled_from([True, False, None])


@pytest.mark.parametrize(
    ("text", "value", "baseline", "holds"),
    [
        ("<600", 599.9, None, True), ("<600", 600, None, False), ("<=600", 600, None, True), (">99", 99, None, False),
        (">=99", 99, None, True), ("=0", 0, None, True), ("=0", 0.1, None, False), ("< .5", 0.4, None, True),
        ("<=+10%", 110, 100, True), ("<=+10%", 110.1, 100, False), ("<+10%", 110, 100, False),
        (">=-5%", 95, 100, True), (">=-5%", 94.9, 100, False), ("<=+5", 105, 100, True), ("<=+5", 105.1, 100, False),
        (">=-5", 95, 100, True), ("<=-10%", 90, 100, True), ("<=-10%", 91, 100, False),
        ("<=+10%", -95, -100, True), ("<=+10%", -89, -100, False), ("<=+10%", 0, 0, True), ("<=+10%", 0.1, 0, False),
        ("<=+10%", 1, None, None), ("<=+5", 1, None, None), ("<600", 1, None, True),
    ],
)  # fmt: skip
def test_a_criterion_holds_or_not_or_is_unknown(text, value, baseline, holds):
    assert criterion(text).holds(value, baseline) is holds


@pytest.mark.parametrize("text", ["", "600", "<", "<10%", "=<5", "<=+-5", "<5 ms", "<=+10%%", "<1e3", "!5"])
def test_what_is_no_criterion_is_refused_with_what_was_expected(text):
    with pytest.raises(ValueError, match=r"write it like|so write"):
        criterion(text)


@given(st.lists(THREE, min_size=1, max_size=5))
def test_unknown_settles_nothing_and_is_settled_only_by_what_makes_it_irrelevant(several):
    filled = [[one if one is not None else guess for one in several] for guess in (True, False)]
    assert every(several) is (all(filled[0]) if all(filled[0]) == all(filled[1]) else None)
    assert some(several) is (any(filled[0]) if any(filled[0]) == any(filled[1]) else None)


ERRORS = (
    """{sli: errors, expr: 'last("errors")', pass: ["<=+10%", "<0.02"], warning: ["<0.05"], weight: 2, key_sli: true}"""
)
LATENCY = """{sli: latency, expr: 'last("latency")', pass: ["<=+10%"], warning: ["<=+30%"]}"""
INFO = """{sli: load, expr: 'last("load")'}"""


def judged(errors, latency, load_=None, *, before=(0.01, 100.0, 1.0), total="{}"):
    (document,) = load({"a": rollout(ERRORS, LATENCY, INFO, total_score=total)})
    spec = compiled(document).spec
    values = zip(spec.objectives, (errors, latency, load_), before, strict=True)
    return Judgement(spec, tuple(Judged(one, value, baseline, {}) for one, value, baseline in values))


@pytest.mark.parametrize(
    ("errors", "latency", "score", "result"),
    [
        (0.01, 100, 100, "pass"),
        (0.01, 120, 100 * 2.5 / 3, "warning"),
        (0.03, 100, 100 * 2 / 3, "fail"),
        (0.03, 120, 50, "fail"),
        (0.01, 200, 100 * 2 / 3, "fail"),
        (0.06, 100, 100 / 3, "fail"),
    ],
)
def test_a_weight_counts_in_full_half_or_not_at_all(errors, latency, score, result):
    found = judged(errors, latency)
    assert (found.score, found.result.value) == (pytest.approx(score), result)


def test_a_key_objective_that_fails_fails_all_of_it_whatever_the_score():
    loose = "{pass: 20, warning: 10}"
    assert judged(0.06, 100, total=loose).result.value == "fail"
    assert judged(0.01, 200, total=loose).result.value == "pass"


@pytest.mark.parametrize(
    ("errors", "latency", "before", "results"),
    [
        (None, 100, (0.01, 100), ["unknown", "pass"]),
        (0.06, None, (0.01, 100), ["fail", "unknown"]),
        (0.01, 100, (None, 100), ["unknown", "pass"]),
        (0.01, 100, (0.01, None), ["pass", "unknown"]),
    ],
)
def test_one_unknown_objective_makes_the_verdict_unknown_even_where_a_key_objective_fails(
    errors, latency, before, results
):
    found = judged(errors, latency, before=(*before, None))
    assert [one.result.value for one in found.judged] == [*results, "info"]
    assert found.result.value == "unknown"


@pytest.mark.parametrize(("errors", "result"), [(0.03, "warning"), (0.06, "fail"), (0.01, "unknown")])
def test_an_absolute_criterion_that_does_not_hold_settles_it_without_a_baseline(errors, result):
    assert judged(errors, 100, before=(None, 100, None)).judged[0].result.value == result


def test_what_is_for_information_counts_for_nothing_and_makes_nothing_unknown():
    for value in (None, 0.0, 1e9):
        assert judged(0.01, 100, value).result.value == "pass"


def test_one_of_several_alternatives_will_do():
    either = """{sli: errors, expr: 'last("errors")', pass: [{criteria: ["<=+10%"]}, {criteria: ["<0.001"]}]}"""
    (document,) = load({"a": rollout(either)})
    (objective,) = compiled(document).spec.objectives
    results = [Judged(objective, value, baseline, {}).result.value
               for value, baseline in ((0.0005, 0.0), (0.002, 0.0), (0.0005, None), (0.002, None))]  # fmt: skip
    assert results == ["pass", "fail", "pass", "unknown"]


@pytest.mark.parametrize(
    ("old", "new", "where", "expected"),
    [
        ('"<=+10%", "<0.02"', '"<=10%"', "sli: errors", "so write +10% or -10%"),
        ('"<0.05"', '"0.05"', "sli: errors", "write it like <600"),
        ('last("errors")', 'last("errors") > 1.0', "sli: errors", "gives false, and a number"),
        ('last("errors")', 'last("errors") * 100', "sli: errors", "write 2.0 and not 2"),
        ('last("errors")', "cpu", "sli: errors", "is not known"),
        ("settle: 30s", "settle: 5m", "spec:", "has to be shorter than window"),
        ("window: 5m", "window: 0s", "window:", "has to be above 0"),
        ("total_score: {}", "total_score: {pass: 50%, warning: 75%}", "total_score", "warning (75) is above pass (50)"),
        ("total_score: {}", "total_score: {pass: 150%}", "total_score", "has to be at most 100"),
        ("sli: latency", "sli: errors", "spec:", "is the sli of several objectives"),
        ('pass: ["<=+10%"], ', "", "sli: latency", "for information"),
        ('["<=+30%"]', "[{criteria: []}]", "sli: latency", "at least one"),
        ("failFast: 2", "failFast: -1", "failFast", "has to be at least 0"),
        ("onFail: {rollBack: true", "onFail: {rollback: true", "onFail", "did you mean rollBack?"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line_and_what_was_expected(old, new, where, expected):
    good = rollout(ERRORS, LATENCY, total_score="{}")
    assert len(load({"a.yaml": good})) == 1
    assert old in good
    line = next(number for number, text in enumerate(good.splitlines(), 1) if where in text)
    with pytest.raises(PolicyError) as raised:
        load({"a.yaml": good.replace(old, new, 1)})
    (problem,) = raised.value.problems
    assert problem.line == line
    assert expected in problem.message


def test_a_policy_that_could_judge_nothing_is_refused():
    with pytest.raises(PolicyError, match="nothing could be judged"):
        load({"a.yaml": rollout(INFO)})
