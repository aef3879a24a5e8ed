"""Label matchers in Prometheus' and Alertmanager's notation: `severity="critical"`, `host!~"web-.*"`. Pure.

Read by `app.policy.selector` (series) and `app.policy.model_alerting` (alerts). A label that is
not there is an empty text, as theirs is. Regular expressions have to fit the whole text; they are
those of CEL's `matches`, which take time in proportion to the text and are nearly RE2's.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import cel

LONGEST: Final = 256
"""Characters of the longest regular expression."""

_ONE: Final = re.compile(
    r"""\s*([A-Za-z_][\w.]*)\s*(=~|!=|!~|=)\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s"',{}]*)\s*(,|$)"""
)
_program: Final = cel.compile("text.matches(pattern)")
_context: Final = cel.Context()


class Matcher(NamedTuple):
    """One label, and what it has to be."""

    label: str
    operator: str
    value: str

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether it holds for some labels."""
        found = labels.get(self.label, "")
        fits = _fits(_whole(self.value), found) if "~" in self.operator else found == self.value
        return fits is not self.operator.startswith("!")

    def __str__(self) -> str:
        return f'{self.label}{self.operator}"{self.value}"'


def all_hold(matchers: Sequence[Matcher], labels: Mapping[str, str]) -> bool:
    """Whether all matchers hold; none at all hold for everything."""
    return all(one.holds(labels) for one in matchers)


def matchers_of(text: str) -> tuple[Matcher, ...]:
    """The matchers in a text, with or without braces around them; raises ValueError that says what is wrong."""
    inner = text.strip()
    if inner.startswith("{") and inner.endswith("}"):
        inner = inner[1:-1]
    found, at = [], 0
    inner = inner.strip().removesuffix(",")
    while at < len(inner):
        match = _ONE.match(inner, at)
        if match is None:
            raise ValueError(f'{text!r} is no matcher; write it like severity="critical" or host=~"web-.*"')
        label, operator, value, _ = match.groups()
        one = Matcher(label, operator, _unquoted(value))
        if "~" in operator:
            _check(one.value)
        found.append(one)
        at = match.end()
    return tuple(found)


def _unquoted(value: str) -> str:
    return re.sub(r"\\([\"'\\])", r"\1", value[1:-1]) if value[:1] in {'"', "'"} else value


def _check(pattern: str) -> None:
    if len(pattern) > LONGEST:
        raise ValueError(f"a regular expression of {len(pattern)} characters; at most {LONGEST} are taken")
    try:
        _fits(pattern, "")  # alone, so that it cannot close the brackets around it
        _fits(_whole(pattern), "")
    except RuntimeError as error:
        said = " ".join(str(error).partition("not a valid regex:")[2].partition(". Check")[0].split())
        raise ValueError(f"{pattern!r} is no regular expression: {said}") from None


def _whole(pattern: str) -> str:
    return f"^(?s:{pattern})$"


@lru_cache(maxsize=10_000)
def _fits(pattern: str, text: str) -> bool:
    context: Any = _context
    context.add_variable("pattern", pattern)
    context.add_variable("text", text)
    return bool(_program.execute(context))
