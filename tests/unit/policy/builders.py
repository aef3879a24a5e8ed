"""One line makes one fact; `Journal` puts facts at their places and runs them through `step`."""

from app.policy import decision as decisions
from app.policy.facts import (
    LAYOUT,
    Change,
    Command,
    Deploy,
    Direction,
    Genesis,
    Instances,
    Phase,
    PolicySet,
    Record,
    Reported,
    Samples,
    Series,
    Source,
    Tick,
    Verb,
)
from app.policy.files import fingerprint, load
from app.policy.state import empty
from app.policy.step import step
from tasks.contract import Kind, Outcome, Status, kind_of

START_MS = 1_700_000_000_000

YAML = """
apiVersion: headrace/v1
kind: Scale
metadata: {{name: {name}}}
spec:
  service: "{service}"
  minReplicas: {least}
  maxReplicas: {most}
  metrics:
    - type: Resource
      resource: {{name: cpu, target: {{type: Utilization, averageUtilization: {target}}}}}
  behavior:
    scaleUp: {{stabilizationWindowSeconds: {up_window}}}
    scaleDown: {{stabilizationWindowSeconds: {down_window}}}
  for: {{up: {up_for}, down: {down_for}}}
  every: {every}
  stale: {stale}
  notify: "{notify}"
  mode: {mode}
"""


DEFAULTS = {
    "name": "web", "service": "web", "least": 1, "most": 10, "target": 60, "notify": "", "mode": "active",
    "stale": "5m", "every": "0s", "up_for": "0s", "up_window": 0, "down_for": "0s", "down_window": 0,
}  # fmt: skip


def policy(name="web", **values):
    """YAML of a Scale policy; see `DEFAULTS` for what can be given."""
    assert set(values) <= set(DEFAULTS)
    return YAML.format(**DEFAULTS | values | {"name": name})


class Journal:
    """A journal partition in the making: facts go in, `decisions` come out."""

    def __init__(self):
        self.records = []
        self.state = empty(0)
        self.decisions = []
        self.at_ms = START_MS
        self._offsets = {}
        self.add(Genesis("journal", 1, LAYOUT))

    def add(self, fact, after_s=0.0):
        """Put a fact on the journal and decide; what was decided."""
        self.at_ms += round(after_s * 1000)
        record = Record(0, len(self.records), self.at_ms, fact)
        self.records.append(record)
        self.state, decided = step(self.state, record)
        self.decisions += decided
        return decided

    def source(self, topic, count=1):
        first = self._offsets.get(topic, 0)
        self._offsets[topic] = first + count
        return Source(topic, f"id-of-{topic}", 0, first, first + count - 1)

    def policies(self, *texts):
        found = load({f"{i}.yaml": text for i, text in enumerate(texts)})
        return self.add(PolicySet(self.source("control"), fingerprint(found), found, "ann", "why", self.at_ms))

    def samples(self, *values, service="web", name="cpu", after_s=0.0, at_s=None):
        """A sample for each instance, in one pack."""
        source = self.source("metrics", len(values))
        at_ms = self.at_ms + round((after_s if at_s is None else at_s) * 1000)
        series = [Series(service, name, {"host": f"{service}-{i}"}) for i in range(len(values))]
        each = range(len(values))
        pack = Samples(
            source, series, list(each), [at_ms for _ in each], [float(v) for v in values], list(each), [0 for _ in each]
        )
        return self.add(pack, after_s)

    def instances(self, wanted, service="web", generation=0, after_s=0.0, each=None):
        """What an observer says; `each` are the instances one by one."""
        source = self.source("instances")
        return self.add(Instances(source, service, self.at_ms, wanted, wanted, generation, instances=each), after_s)

    def outcome(self, scale, status=Status.DONE, after_s=0.0):
        outcome = Outcome(
            id=scale.id, action=Kind.SCALE, service=scale.service, status=status, generation=scale.generation,
            set=scale.to_replicas if status is Status.DONE else None, ended_at_ms=self.at_ms,
        )  # fmt: skip
        return self.add(Reported(self.source("outcomes"), outcome), after_s)

    def answer(self, action, status=Status.DONE, after_s=0.0, **more):
        """The outcome of an action that is no scaling."""
        outcome = Outcome(
            id=action.id, action=kind_of(action), service=action.service, status=status, ended_at_ms=self.at_ms, **more
        )
        return self.add(Reported(self.source("outcomes"), outcome), after_s)

    def deploy(self, phase, version="", service="web", after_s=1.0, at_s=0.0, event_id=None, **more):
        """A deploy event; `at_s` is how much its sender's time differs from the journal's."""
        source = self.source("deploy_events")
        at_ms = self.at_ms + round((after_s + at_s) * 1000)
        event_id = f"event-{source.last}" if event_id is None else event_id
        more = {"environment": "prod"} | more
        return self.add(
            Deploy(source, service, Phase(phase), at_ms, version=version, event_id=event_id, **more), after_s
        )

    def change(self, what="timeout 5 s", service="web", event_id=None, **more):
        source = self.source("deploy_events")
        event_id = f"event-{source.last}" if event_id is None else event_id
        return self.add(
            Change(source, service, what, self.at_ms, event_id=event_id, **{"type": "config_changed"} | more)
        )

    def command(self, verb, service="web", until_ms=0, alert="*", direction="both"):
        source = self.source("control")
        way = Direction(direction)
        return self.add(Command(source, Verb(verb), service, "ann", "lunch", self.at_ms, until_ms, alert, way))

    def tick(self, after_s=1.0, behind_s=1.0):
        return self.add(Tick(self.at_ms + round((after_s - behind_s) * 1000)), after_s)

    def bytes(self):
        return b"\n".join(map(decisions.encode, self.decisions))


def reasons(decided):
    return [one.reason.value for one in decided]


def scales(decided):
    """(from, to) of each scaling that was decided."""
    return [
        (one.action.from_replicas, one.action.to_replicas)
        for one in decided
        if one.action and hasattr(one.action, "to_replicas")
    ]
