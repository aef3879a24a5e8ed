"""The calls in the text of an expression: what it will ask for, known before it is asked. Pure.

Called by `app.policy.expression` and `app.policy.model_alert`. Metrics, windows and shares have to
be literals.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from app.policy.columns import KEPT_FOR
from app.policy.durations import seconds
from app.policy.replicas import LARGEST
from app.policy.selector import selector
from app.policy.windows import Keep

LONGEST_S: Final = 3600.0
"""Longest window."""

ARGUMENTS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("avg", "min", "max", "sum", "count", "rate"), 'a metric and a window, like {}("cpu", "1m")'),
    "quantile": 'a metric, a share from 0 to 1 and a window, like quantile("cpu", 0.95, "5m")',
    **dict.fromkeys(("last", "absent"), 'a metric, like {}("cpu")'),
    "replicas": "nothing, like replicas()",
}
"""What each function takes; only `ratio` takes what other calls come to."""

_TAKES: Final = {"quantile": "tnt", "last": "t", "absent": "t", "replicas": ""}
"""The same as texts and numbers; the others take two texts."""

_TOKEN: Final = re.compile(
    r"""\s*(?://[^\n]*(?:\n|$)\s*)*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[A-Za-z_]\w*|.|$)"""
)


class Call(NamedTuple):
    """One call: a function of the series that `metric` selects, over a window (0: none); `share` is a quantile's."""

    function: str
    metric: str = ""
    window_ms: int = 0
    share: float = 0.0


def calls_of(text: str) -> list[Call]:
    """The calls in an expression, in order; raises ValueError that says what is wrong with one."""
    pieces = [one for one in _TOKEN.findall(text) if one]
    found = []
    for place, piece in enumerate(pieces):
        after = pieces[place + 1 : place + 8]
        if piece.isidentifier() and after[:1] and after[0][0] in "\"'":
            raise ValueError(f"{piece}{after[0]} is a text of another kind; write it without the {piece}")
        if piece in ARGUMENTS and after[:1] == ["("]:
            found.append(_call(piece, after[1:]))
        if piece == "ratio" and after[:1] == ["("] and _count(pieces[place + 2 :]) != 2:
            raise ValueError('ratio takes two numbers, like ratio(rate("errors", "5m"), rate("requests", "5m"))')
    return found


def methods_of(text: str) -> set[str]:
    """Names that are called on a value, like `all` in `[1.0].all(x, true)`."""
    pieces = [one for one in _TOKEN.findall(text) if one]
    triples = zip(pieces, pieces[1:], pieces[2:], strict=False)
    return {name for dot, name, bracket in triples if dot == "." and bracket == "(" and name.isidentifier()}


def check_divisors(text: str) -> None:
    """Raises ValueError if a text divides by anything but a number: x/0.0 is infinity in CEL, and that is above all."""
    pieces = [one for one in _TOKEN.findall(text) if one]
    for place, piece in enumerate(pieces):
        by = pieces[place + 1] if piece == "/" and place + 1 < len(pieces) else ""
        if piece == "/" and not (by and _kind(by) == "n" and float(by)):
            raise ValueError("divide by a number other than 0, or with ratio(a, b), which is unknown where b is 0")


def reads_of(calls: Sequence[Call]) -> Mapping[str, Keep]:
    """Metric → what has to be kept of it for some calls."""
    found: dict[str, Keep] = {}
    for one in calls:
        if not one.metric:
            continue
        name = selector(one.metric).name
        keep = Keep(one.window_ms, KEPT_FOR.get(one.function, 0))
        found[name] = found.get(name, Keep()).and_also(keep)
    return found


def _count(after: Sequence[str]) -> int:
    """How many arguments a call has, from what follows its bracket."""
    depth, commas = 0, 0
    for place, piece in enumerate(after):
        if piece == ")" and depth == 0:
            return commas + 1 if place else 0
        depth += (piece in "([{") - (piece in ")]}")
        commas += piece == "," and depth == 0
    return 0


def _call(function: str, after: Sequence[str]) -> Call:
    """A call from what follows its bracket; raises ValueError."""
    end = after.index(")") if ")" in after else 0
    words, commas = after[0:end:2], after[1:end:2]
    kinds = "".join(_kind(one) for one in words)
    if kinds != _TAKES.get(function, "tt") or set(commas) - {","} or (not end and words):
        raise ValueError(f"{function} takes {ARGUMENTS[function].format(function)}, as they stand")
    return call_of(function, *(_literal(one) for one in words))


def _kind(piece: str) -> str:
    """Whether it is a text (`t`) or a number (`n`)."""
    return "t" if piece[0] in "\"'" else "n" if piece[0].isdigit() or piece[0] == "." else "?"


def call_of(function: str, *words: str | float) -> Call:
    """A call from its arguments; raises ValueError."""
    if not words:
        return Call(function)
    metric, window = str(words[0]), str(words[-1]) if len(words) > 1 else ""
    selector(metric)
    share = float(words[1]) if len(words) == 3 else 0.0
    if not 0 <= share <= 1:
        raise ValueError(f"{share:g} is no share; a quantile's is from 0 to 1")
    return Call(function, metric, window_ms(window) if window else 0, share)


def window_ms(text: str) -> int:
    """Milliseconds of a window; raises ValueError."""
    window_s = seconds(text)
    if not 0 < window_s <= LONGEST_S:
        raise ValueError(f"a window of {text} is not within 1 ms and {LONGEST_S:g} s")
    return min(round(window_s * 1000), LARGEST)


def _literal(piece: str) -> str | float:
    if _kind(piece) == "n":
        return float(piece)
    inner = piece[1:-1]
    if re.search(r"\\[^\"'\\]", inner):
        raise ValueError(f"{piece} has a backslash before something other than a quote or a backslash")
    return re.sub(r"\\(.)", r"\1", inner)
