"""Which series of a service a text means: a metric's name, with or without matchers, `cpu{host!="a"}`. Pure.

Called by `app.policy.calls` when a policy is checked and by `app.policy.answers` when it is asked.
"""

from functools import lru_cache
from typing import NamedTuple

from app.policy.instances import labels_of
from app.policy.matchers import Matcher, all_hold, matchers_of


class Selector(NamedTuple):
    """A metric's name, and what the labels of its series have to be."""

    name: str
    matchers: tuple[Matcher, ...]


@lru_cache(maxsize=10_000)
def selector(text: str) -> Selector:
    """The selector in a text; raises ValueError that says what is wrong."""
    name, brace, rest = text.partition("{")
    name = name.strip()
    if not name or (brace and not rest.rstrip().endswith("}")):
        raise ValueError(f'{text!r} names no series; write it like cpu or cpu{{host!="a"}}')
    return Selector(name, matchers_of(brace + rest))


@lru_cache(maxsize=100_000)
def selects(chosen: Selector, key: str) -> bool:
    """Whether a series is meant, by its key within its service; its name is taken to fit."""
    return all_hold(chosen.matchers, labels_of(key))
