"""Label matchers and the series that a text means, in Prometheus' notation."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.policy.matchers import LONGEST, Matcher, all_hold, matchers_of
from app.policy.selector import selector, selects


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('severity="critical"', [("severity", "=", "critical")]),
        ("severity=critical", [("severity", "=", "critical")]),
        ('{a="1", b!="2",c=~"x|y", d!~"z"}', [("a", "=", "1"), ("b", "!=", "2"), ("c", "=~", "x|y"), ("d", "!~", "z")]),
        (r'a="say \"x\", {y}"', [("a", "=", 'say "x", {y}')]),
        ("a='1',", [("a", "=", "1")]),
        ("a=", [("a", "=", "")]),
        ("{}", []),
    ],
)
def test_matchers_are_read(text, found):
    assert matchers_of(text) == tuple(Matcher(*one) for one in found)


@pytest.mark.parametrize("text", ["severity", "1a=b", 'a="b" c="d"', 'a=="b"', 'a="b', 'a="b"}', "=b", 'a="b",,c="d"'])
def test_what_is_no_matcher_is_told(text):
    with pytest.raises(ValueError, match="no matcher"):
        matchers_of(text)


@pytest.mark.parametrize("pattern", ["(", "a{1000}{1000}", "x)|(y", "a" * (LONGEST + 1)])
def test_what_is_no_regular_expression_or_too_large_a_one_is_told(pattern):
    with pytest.raises(ValueError, match="regular expression"):
        matchers_of(f'a=~"{pattern}"')


@pytest.mark.parametrize(
    ("text", "labels", "holds"),
    [
        ('a="1"', {"a": "1"}, True), ('a="1"', {}, False), ('a=""', {}, True), ('a!="1"', {}, True),
        ('a=~"web-.*"', {"a": "web-1"}, True), ('a=~"web"', {"a": "web-1"}, False),
        ('a=~"eb-1"', {"a": "web-1"}, False),
        ('a=~"x|web-1"', {"a": "web-1"}, True), ('a=~".*"', {}, True), ('a=~".+"', {}, False),
        ('a!~"web.*"', {"a": "web-1"}, False), ('a!~"web.*"', {"a": "db"}, True), ('a!~".+"', {}, True),
        ('a=~"x.y"', {"a": "x\ny"}, True), ('a=~"x"', {"a": "x\n"}, False),
    ],
)  # fmt: skip
def test_a_matcher_holds_as_alertmanagers_does(text, labels, holds):
    assert all_hold(matchers_of(text), labels) is holds


@given(st.text("ab", max_size=8), st.sampled_from(["a*", "a+b?", "(ab)*", "[ab]{2}", "a|b", ".*b", "(a*)*b"]))
@settings(deadline=None)
def test_a_regular_expression_fits_the_whole_text_or_not_at_all(text, pattern):
    holds = re.fullmatch(pattern, text) is not None
    assert Matcher("x", "=~", pattern).holds({"x": text}) is holds
    assert Matcher("x", "!~", pattern).holds({"x": text}) is not holds


@pytest.mark.timeout(5)
def test_a_regular_expression_that_could_run_for_ever_does_not():
    assert not Matcher("x", "=~", "(a+)+").holds({"x": "a" * 10_000 + "b"})


def test_a_series_is_selected_by_its_name_and_labels():
    assert selector("cpu.user-total").name == "cpu.user-total"
    chosen = selector('cpu{host="a", env!="test"}')
    assert chosen.name == "cpu"
    assert selects(chosen, "cpu\x1fhost=a")
    assert not selects(chosen, "cpu\x1fenv=test\x1fhost=a")
    assert not selects(chosen, "cpu\x1fhost=b")
