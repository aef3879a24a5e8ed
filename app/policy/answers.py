"""What the calls of an expression come to: functions over the series of a service. Pure.

Called by `app.policy.alert`, `app.policy.telling`, `app.policy.watching` and `app.policy.measure`. What there
are no fresh samples for is unknown, None, never a number.
"""

from typing import NamedTuple

from app.policy.aggregates import aggregate, quantile
from app.policy.calls import Call
from app.policy.expression import Value, compiled
from app.policy.instances import replicas_of
from app.policy.model_alert import AlertSpec
from app.policy.selector import selector, selects
from app.policy.state import Series, Service, State
from app.policy.windows import Window


def asked(state: State, service: Service, spec: AlertSpec) -> tuple[bool | None, dict[str, Value]]:
    """An alert's expression asked of a service now: what it comes to (None: unknown), and what each call did."""
    return compiled(spec.expr).evaluate(Answers(state, service, spec.stale_ms).answer)


class Answers(NamedTuple):
    """Answers the calls of an expression about one service; from what came after `since_ms` alone."""

    state: State
    service: Service
    stale_ms: int
    since_ms: int = 0

    def answer(self, call: Call) -> Value:
        """One call, over all series that it selects; None if it cannot be said."""
        if call.function == "replicas":
            return float(replicas_of(self.service))
        fresh = self._fresh(call.metric)
        if call.function == "absent":
            return not fresh
        if not fresh:
            return None
        if call.function == "last":
            return sum(one.value for one in fresh) / len(fresh)
        windows = [one.window for one in fresh if one.window is not None]
        from_ms = self._from_ms(call.window_ms, windows)
        if call.function == "quantile":
            return quantile(windows, call.share, from_ms)
        return aggregate(call.function, windows, from_ms)

    def _from_ms(self, window_ms: int, windows: list[Window]) -> int:
        """When a window begins; a bucket that has anything of before `since_ms` in it is left out."""
        whole_ms = self.since_ms + max((one.width_ms for one in windows), default=1) - 1 if self.since_ms else 0
        return max(self.state.now_ms - window_ms, whole_ms)

    def _fresh(self, metric: str) -> list[Series]:
        """The series that a text selects and that are not stale."""
        from_ms, chosen = max(self.state.read_until_ms - self.stale_ms, self.since_ms), selector(metric)
        name, series = chosen.name, self.service.series
        if not chosen.matchers:
            return [one for one in series.values() if one.name == name and one.at_ms > from_ms]
        return [one for key, one in series.items() if one.name == name and one.at_ms > from_ms and selects(chosen, key)]
