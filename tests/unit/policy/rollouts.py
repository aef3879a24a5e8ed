"""A Rollout policy in one call, and a service whose metrics and deploys make a verdict."""

from app.policy.facts import Tick
from tasks.contract import Notify, RollBack
from tests.unit.policy.builders import Journal

ROLLOUT = """
apiVersion: headrace/v1
kind: Rollout
metadata: {{name: {name}}}
spec:
  service: "{service}"
  environment: "{environment}"
  window: 5m
  settle: 30s
  every: 15s
  failFast: {failFast}
  objectives:{objectives}
  total_score: {total_score}
  onFail: {{rollBack: {rollBack}, rollBackFailed: {failed}, rollBackStalled: {stalled}, notify: on-call}}
  onWarning: {{notify: team}}
  onPass: {{notify: "{onPass}"}}
  deadline: 15m
  mode: {mode}
"""
ERRORS = """{sli: errors, expr: 'last("errors")', pass: ["<=+10%"], key_sli: true}"""
DEFAULTS = {
    "name": "watch", "service": "web", "environment": "prod", "failFast": 2, "total_score": "{}", "rollBack": "true",
    "failed": "false", "stalled": "false", "onPass": "", "mode": "active",
}  # fmt: skip


def rollout(*objectives, **values):
    """YAML of a Rollout policy; see `DEFAULTS` for what can be given."""
    assert set(values) <= set(DEFAULTS)
    lines = "".join(f"\n    - {one}" for one in objectives or (ERRORS,))
    return ROLLOUT.format(**DEFAULTS | values, objectives=lines)


class World:
    """A service that reports a number of errors each five seconds, and is deployed."""

    def __init__(self, *texts, running="1"):
        self.journal = Journal()
        self.journal.policies(*(texts or (rollout(),)))
        self.errors = 10.0
        if running:
            self.deploy("finished", running)
            self.run(330)
            self.journal.decisions.clear()

    @property
    def decisions(self):
        return self.journal.decisions

    @property
    def service(self):
        return self.journal.state.services["web"]

    @property
    def release(self):
        return self.service.releases["prod"]

    def deploy(self, phase, version, **more):
        return self.journal.deploy(phase, version, **{"after_s": 0} | more)

    def run(self, seconds, errors=None, *, silent=False):
        """Some time; what was decided in it."""
        self.errors = self.errors if errors is None else errors
        decided = []
        for _ in range(round(seconds / 5)):
            if silent:
                self.journal.at_ms += 5000
            else:
                decided += self.journal.samples(self.errors, name="errors", after_s=5)
            decided += self.journal.add(Tick(self.journal.at_ms))
        return decided

    def release_of(self, version, errors, *, lasts=60, seconds=300):
        """A deploy from its start to the end of its window."""
        decided = self.deploy("started", version)
        decided += self.run(lasts)
        decided += self.deploy("finished", version)
        return decided + self.run(seconds, errors)


QUIET = {"EVENT_SEEN", "ROLLOUT_WATCHED", "POLICIES_CHANGED"}


def said(decided):
    """Reasons, without those that only say that an event came."""
    return [one.reason.value for one in decided if one.reason.value not in QUIET]


def reasons_of(decided):
    """All reasons, in order."""
    return [one.reason.value for one in decided]


def rolled(decided):
    """(from, to) of each rollback that is done."""
    return [
        (one.action.from_version, one.action.to_version)
        for one in decided
        if isinstance(one.action, RollBack) and not one.shadow
    ]


def told(decided):
    """(receiver, title) of each notification."""
    return [(one.action.receiver, one.action.title) for one in decided if isinstance(one.action, Notify)]


def rollback_in(decided):
    """The action of the one rollback."""
    (action,) = [one.action for one in decided if isinstance(one.action, RollBack)]
    return action


def in_two_environments():
    """A service that runs in prod and in stage, each watched."""
    world = World(rollout(environment="*"))
    world.deploy("finished", "1", environment="stage")
    world.run(330)
    return world
