"""What was decided beside what a timeline expected, so that a difference can be read at once. Pure.

Called by `app.history.scenario`. The two lists are put side by side as `diff` does it; of what does not
fit, the fields that differ are named.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from app.policy.decision import Decision
from tasks.contract import Notify, Scale

LONGEST: Final = 12
"""Most decisions that are listed where one was expected among them."""


class Wish(Protocol):
    """An expectation: what of a decision is not as expected (nothing: it fits), and itself in words."""

    def misses(self, one: Decision) -> list[str]:
        """The fields that differ, a sentence each."""

    def __str__(self) -> str: ...


def contains(found: Any, wanted: Any) -> bool:
    """Whether evidence has at least what is wanted: the named keys of a mapping, a list item by item."""
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(contains(found.get(name), one) for name, one in wanted.items())
    if isinstance(wanted, list | tuple):
        return isinstance(found, list | tuple) and len(found) == len(wanted) and all(map(contains, found, wanted))
    if _is_number(found) and _is_number(wanted):
        return math.isclose(found, wanted, rel_tol=1e-6)
    return bool(found == wanted and isinstance(found, bool) == isinstance(wanted, bool))


def missing(found: Any, wanted: Any, path: str = "evidence") -> Iterator[str]:
    """Where evidence does not have what is wanted, a sentence each."""
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        for name, one in wanted.items():
            yield from missing(found.get(name), one, f"{path}.{name}")
    elif isinstance(wanted, list | tuple) and isinstance(found, list | tuple) and len(found) == len(wanted):
        for number, (here, one) in enumerate(zip(found, wanted, strict=True)):
            yield from missing(here, one, f"{path}[{number}]")
    elif not contains(found, wanted):
        yield f"{path} is {_brief(found)} and not {_brief(wanted)}"


def beside(wanted: Sequence[Wish], found: Sequence[Decision], begin_ms: int) -> Iterator[str]:
    """Both lists as lines: `=` as expected, `-` expected and not decided, `+` decided and not expected."""
    length = [[0] * (len(found) + 1) for _ in range(len(wanted) + 1)]
    for i in range(len(wanted) - 1, -1, -1):
        for j in range(len(found) - 1, -1, -1):
            fits = not wanted[i].misses(found[j])
            length[i][j] = length[i + 1][j + 1] + 1 if fits else max(length[i + 1][j], length[i][j + 1])
    i = j = 0
    while i < len(wanted) or j < len(found):
        if i < len(wanted) and j < len(found) and not wanted[i].misses(found[j]):
            yield f"= {told(found[j], begin_ms)}"
            i, j = i + 1, j + 1
        elif j == len(found) or (i < len(wanted) and length[i + 1][j] >= length[i][j + 1]):
            near = _near(wanted[i], found[j : j + 1])
            yield f"- {wanted[i]}{f'  ({near})' if near else ''}"
            i += 1
        else:
            yield f"+ {told(found[j], begin_ms)}"
            j += 1


def among(wanted: Wish, found: Sequence[Decision], begin_ms: int) -> Iterator[str]:
    """An expectation that no decision fits, and what was decided: the nearest with what differs, and all."""
    yield f"- {wanted}"
    nearest = min(found, key=lambda one: len(wanted.misses(one)), default=None)
    for one in found[:LONGEST]:
        differs = f"  ({', '.join(wanted.misses(one))})" if one is nearest else ""
        yield f"+ {told(one, begin_ms)}{differs}"
    if len(found) > LONGEST:
        yield f"  and {len(found) - LONGEST} more"


def told(one: Decision, begin_ms: int) -> str:
    """A decision in a few words: when, what, by which policy."""
    what = ""
    if isinstance(one.action, Scale):
        what = f" from {one.action.from_replicas} to {one.action.to_replicas}"
    elif isinstance(one.action, Notify):
        what = f" to {one.action.receiver}: {one.action.title}"
    elif one.action is not None:
        what = f" {type(one.action).__name__}"
    by = f" by {one.policy}" if one.policy else ""
    return f"{(one.at_ms - begin_ms) / 1000:g}s {one.reason.value}{what}{by}{' (shadow)' if one.shadow else ''}"


def _near(wanted: Wish, found: Sequence[Decision]) -> str:
    """What differs, if little does and not its reason: it is the same decision then, and not another one."""
    differs = wanted.misses(found[0]) if found else []
    return differs[0] if len(differs) == 1 and not differs[0].startswith("reason ") else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _brief(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else f"{text[:79]}…"
