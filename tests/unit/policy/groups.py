"""Alerts and routes as the tests of telling people have them, and a journal that watches what is told."""

from tasks.contract import Notify
from tests.unit.policy.builders import START_MS, Journal

ALERT = """
apiVersion: headrace/v1
kind: Alert
metadata: {{name: {name}}}
spec:
  service: "*"
  expr: 'last("{name}") > 0.0'
  for: {for_}
  keep_firing_for: {keep}
  every: 0s
  stale: {stale}
  labels: {{severity: {severity}}}
  annotations: {{summary: "{name} is {{{{ $value }}}}"}}
  then: {then}
  mode: {mode}
"""

ALERTING = """
apiVersion: headrace/v1
kind: Alerting
metadata: {{name: tell}}
spec:
  route:
    receiver: team
    group_wait: 30s
    group_interval: 5m
    repeat_interval: 1h
    routes: {routes}
  inhibit_rules:
    - {{source_matchers: [severity=critical], target_matchers: [severity=warning]}}
  time_intervals:
    # the journal of the tests begins on a Tuesday at 22:13:20
    - {{name: evening, time_intervals: [{{times: [{{start_time: "22:00", end_time: "22:30"}}]}}]}}
    - {{name: sunday, time_intervals: [{{weekdays: [sunday]}}]}}
  mode: {mode}
"""


DEFAULTS = {"mode": "active", "stale": "1d", "for_": "0s", "keep": "0s"}


def alert(name, severity="info", then="{}", **values):
    """YAML of an alert that fires while its metric is above 0; see `DEFAULTS` for what else can be given."""
    assert set(values) <= set(DEFAULTS)
    return ALERT.format(name=name, severity=severity, then=then, **DEFAULTS | values)


def alerting(routes="[]", mode="active"):
    return ALERTING.format(routes=routes, mode=mode)


class Watched(Journal):
    """A journal whose samples are of alerts: 1 makes one fire, 0 ends it."""

    def __init__(self, *policies):
        super().__init__()
        self.policies(*policies)

    def set(self, after_s=1, **values):
        """Samples of some alerts, in one pack or several at one moment."""
        decided = []
        for name, value in values.items():
            decided += self.samples(value, name=name, after_s=after_s)
            after_s = 0
        return decided

    def wait(self, seconds, every=5):
        """Time passes; nothing is sampled and everything read."""
        decided = []
        for _ in range(0, seconds, every):
            decided += self.tick(after_s=every, behind_s=0)
        return decided

    def at_s(self, one):
        return (one.at_ms - START_MS) / 1000


def told(decided):
    return [one.action.title for one in decided if isinstance(one.action, Notify)]


def not_told(decided):
    return [(one.policy, one.reason.value, one.evidence["untold"]) for one in decided if "untold" in one.evidence]
