"""One look of a HorizontalPodAutoscaler: from what its metrics ask for to what it sets, with what it remembers.

After pkg/controller/podautoscaler/horizontal.go of Kubernetes v1.37; reasons are its own. Pure:
the memory is handed in and advanced in place.
"""

import math
from typing import Final

import msgspec

SCALE_UP_FACTOR: Final = 2
SCALE_UP_LEAST: Final = 4
"""Without a behavior, a look at most doubles the replicas, or sets four."""

KEPT: Final = 256
"""Recommendations that are kept as they are: an hour's window at Kubernetes' own pace."""


class Rule(msgspec.Struct, frozen=True):
    """How much may change within a period: `Pods`, or `Percent` of what there was when it began."""

    type: str
    value: int
    period_ms: int


class Rules(msgspec.Struct, frozen=True):
    """A direction of a behavior: its window, whether the larger or the smaller of its rules counts, and the rules."""

    window_ms: int
    select: str
    rules: tuple[Rule, ...]


class Limits(msgspec.Struct, frozen=True):
    """What a look is bound by. `up` and `down` are None without a behavior, which is not the same as an empty one.

    `exact` is not Kubernetes': what is asked for is a count of its own, set in one jump where there is no
    behavior; and what was asked for once and not done is not done later, when less is asked for.
    """

    least: int
    most: int
    window_ms: int = 300_000
    up: Rules | None = None
    down: Rules | None = None
    to_zero: bool = True
    exact: bool = False


class Recommendation(msgspec.Struct, array_like=True, gc=False):
    """What was asked for at a moment, before any limit."""

    replicas: int
    at_ms: int


class Change(msgspec.Struct, array_like=True, gc=False):
    """By how many replicas was scaled at a moment, and whether the slot may be used again."""

    by: int
    at_ms: int
    outdated: bool = False


class Conditions(msgspec.Struct, array_like=True, gc=False):
    """The reasons of the conditions as they stand; each stays until it is written again."""

    able: str = ""
    active: str = ""
    limited: str = ""
    zero: str = ""


class Past(msgspec.Struct, array_like=True):
    """What one autoscaler remembers."""

    recommendations: list[Recommendation] = []
    ups: list[Change] = []
    downs: list[Change] = []
    conditions: Conditions = msgspec.field(default_factory=Conditions)
    begun: bool = False


def begin(past: Past, current: int, now_ms: int) -> None:
    """Begin a look. The replicas of the first are its first recommendation, so that windows act from the start."""
    past.conditions.able = "SucceededGetScale"
    if not past.begun:
        past.begun = True
        past.recommendations.append(Recommendation(current, now_ms))


def stabilized(past: Past, limits: Limits, current: int, asked: int, now_ms: int) -> int:
    """The stabilization windows; what was asked for is remembered as it was."""
    if len(past.recommendations) >= KEPT:
        _thin(past, asked)
    if limits.up is None or limits.down is None:
        found = _highest(past, asked, now_ms - limits.window_ms, now_ms)
        if limits.exact:
            found = min(found, max(asked, current))
        past.conditions.able = "ScaleDownStabilized" if found != asked else "ReadyForNewScale"
        return found
    found = _between(past, limits, current, asked, now_ms)
    if found == asked:
        past.conditions.able = "ReadyForNewScale"
    else:
        past.conditions.able = "ScaleUpStabilized" if asked >= current else "ScaleDownStabilized"
    return found


def limited(past: Past, limits: Limits, current: int, wanted: int, now_ms: int) -> int:
    """The limits of a look: minimum, maximum, and how fast may be scaled."""
    if limits.up is None or limits.down is None:
        found, why = _plain_limit(limits, current, wanted)
    elif wanted > current:
        found, why = _up_limit(past, limits, current, wanted, now_ms)
    elif wanted < current:
        found, why = _down_limit(past, limits, current, wanted, now_ms)
    else:
        found, why = wanted, ""
    past.conditions.limited = why if found != wanted else "DesiredWithinRange"
    return found


def left_alone(past: Past, limits: Limits, current: int) -> bool:
    """Whether a service at 0 is somebody else's doing: only what was put to 0 here is woken here."""
    if current != 0:
        return False
    if limits.to_zero:
        return past.conditions.zero != "ScaledToZero"
    return limits.least != 0


def scaled(past: Past, limits: Limits, before: int, after: int, now_ms: int) -> None:
    """Note that was scaled: rate limits count it."""
    past.conditions.able = "SucceededRescale"
    if limits.to_zero:
        past.conditions.zero = "NotScaledToZero" if after else "ScaledToZero"
    if limits.up is None or limits.down is None or before == after:
        return
    rules, events = (limits.up, past.ups) if after > before else (limits.down, past.downs)
    longest = max((rule.period_ms for rule in rules.rules), default=0)
    slot = None
    for place, event in enumerate(events):
        if event.at_ms < now_ms - longest:
            event.outdated = True
        if event.outdated:
            slot = place
    made = Change(abs(after - before), now_ms)
    if slot is None:
        events.append(made)
    else:
        events[slot] = made


def _thin(past: Past, asked: int) -> None:
    """Forget what something newer outdoes both ways: it can count again only if a window is made longer."""
    kept: list[Recommendation] = []
    least = most = asked
    for one in sorted(past.recommendations, key=lambda one: -one.at_ms):
        if one.replicas > most or one.replicas < least:
            kept.append(one)
            least, most = min(least, one.replicas), max(most, one.replicas)
    past.recommendations = kept[::-1]


def _remember(past: Past, asked: int, now_ms: int, slot: int | None) -> None:
    made = Recommendation(asked, now_ms)
    if slot is None:
        past.recommendations.append(made)
    else:
        past.recommendations[slot] = made


def _highest(past: Past, asked: int, cutoff_ms: int, now_ms: int) -> int:
    found, slot = asked, None
    for place, one in enumerate(past.recommendations):
        if one.at_ms < cutoff_ms:
            slot = place
        elif one.replicas > found:
            found = one.replicas
    _remember(past, asked, now_ms, slot)
    return found


def _between(past: Past, limits: Limits, current: int, asked: int, now_ms: int) -> int:
    assert limits.up is not None
    assert limits.down is not None
    up_ms, down_ms = now_ms - limits.up.window_ms, now_ms - limits.down.window_ms
    up = down = asked
    slot = None
    for place, one in enumerate(past.recommendations):
        at_ms, replicas = one.at_ms, one.replicas
        if replicas < up and at_ms > up_ms:
            up = replicas
        if replicas > down and at_ms > down_ms:
            down = replicas
        if at_ms < up_ms and at_ms < down_ms:
            slot = place
    _remember(past, asked, now_ms, slot)
    return min(max(current, up), down)


def _plain_limit(limits: Limits, current: int, wanted: int) -> tuple[int, str]:
    fast = limits.most if limits.exact else max(SCALE_UP_FACTOR * current, SCALE_UP_LEAST)
    most, why = (fast, "ScaleUpLimit") if limits.most > fast else (limits.most, "TooManyReplicas")
    if wanted < limits.least:
        return limits.least, "TooFewReplicas"
    return (most, why) if wanted > most else (wanted, "")


def _up_limit(past: Past, limits: Limits, current: int, wanted: int, now_ms: int) -> tuple[int, str]:
    assert limits.up is not None
    fast = current
    if limits.up.select != "Disabled":
        choose = min if limits.up.select == "Min" else max
        asked = [_proposed(past, rule, current, now_ms, up=True) for rule in limits.up.rules]
        fast = max(current, choose(asked)) if asked else current
    most, why = (fast, "ScaleUpLimit") if limits.most > fast else (limits.most, "TooManyReplicas")
    return (most, why) if wanted > most else (wanted, "")


def _down_limit(past: Past, limits: Limits, current: int, wanted: int, now_ms: int) -> tuple[int, str]:
    assert limits.down is not None
    fast = current
    if limits.down.select != "Disabled":
        choose = max if limits.down.select == "Min" else min
        asked = [_proposed(past, rule, current, now_ms, up=False) for rule in limits.down.rules]
        fast = min(current, choose(asked)) if asked else current
    least, why = (fast, "ScaleDownLimit") if limits.least < fast else (limits.least, "TooFewReplicas")
    return (least, why) if wanted < least else (wanted, "")


def _proposed(past: Past, rule: Rule, current: int, now_ms: int, *, up: bool) -> int:
    """How far a rule goes from what there was when its period began."""
    begin_ms = now_ms - rule.period_ms
    added = sum(one.by for one in past.ups if one.at_ms > begin_ms)
    removed = sum(one.by for one in past.downs if one.at_ms > begin_ms)
    start = current - added + removed
    if rule.type == "Pods":
        return start + rule.value if up else start - rule.value
    if up:
        return math.ceil(start * (1 + rule.value / 100))
    return int(start * (1 - rule.value / 100))
