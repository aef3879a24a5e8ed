"""Instances whose load says nothing yet: what a policy asks for with them, and without. A guard: it only weakens.

Called by `app.policy.look`. Two kinds of instance are in doubt:

- *warming*: younger than the policy's `warmup`. They are counted as Kubernetes counts instances without a sample:
  idle on the way up, fully loaded on the way down. It would leave ones that are not ready out on the way down;
  but what was started a moment ago is there to take load, how much is unknown, and unknown never destroys.
- *left out*, while a deploy holds the service: those beyond the wanted count, the youngest first, and those of the
  new version that are starting. They replace others, so what they do now is not what there will be.

Each metric is asked again without their samples, and of both wishes the one nearer to no change counts.
"""

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from app.policy.instances import instance_in
from app.policy.measure import wish_of
from app.policy.model_metrics import Metric
from app.policy.model_scale import ScaleSpec
from app.policy.readings import Question, Wish
from app.policy.release import UnderWay
from app.policy.replicas import NoMetricError
from app.policy.roster import Member, roster
from app.policy.state import Service

NAMED: Final = 20
"""Most instances that are named as evidence."""


@dataclass
class Doubt:
    """What is in doubt about a service's measuring, and the service as it would be without it.

    `measured` is what the policy would want if nothing were in doubt.
    """

    question: Question
    believed: Service
    warming: list[str]
    left_out: list[str]
    measured: int = 0

    def weaken(self, metric: Metric, wish: Wish) -> Wish:
        """The wish of a metric, or what it wishes without those in doubt if that is nearer to no change."""
        self.measured = max(self.measured, wish.wanted)
        if metric.backlog is not None:
            return wish  # of what waits, whoever is there
        current = self.question.current
        try:
            careful = wish_of(self.question._replace(service=self.believed), metric).wanted
        except NoMetricError:
            careful = current  # all are in doubt
        wanted = nearer(wish.wanted, careful, current)
        return wish._replace(wanted=wanted, evidence=wish.evidence | {"wanted": wanted})

    def evidence(self) -> dict[str, Any]:
        """Who is in doubt, and what would be wanted otherwise."""
        found = {"warming": self.warming[:NAMED], "left_out": self.left_out[:NAMED]}
        return {"measured": self.measured, "doubt": {name: names for name, names in found.items() if names}}


def doubt_of(question: Question, deploy: UnderWay | None) -> Doubt | None:
    """What is in doubt about a service; None if nothing is."""
    state, service, spec, _, current = question
    held = deploy if deploy is not None and deploy.held else None
    if not spec.warmup_s and held is None:
        return None
    read = {metric.name for metric in spec.metrics if not metric.shared}
    instances = {key: instance_in(key) for key, one in service.series.items() if one.name in read}
    members = roster(service, sorted(set(instances.values())))
    left_out = _left_out(service, members, spec, held, state.now_ms) if held is not None else []
    warmup_ms = round(1000 * spec.warmup_s)
    warming = [one for one in members if one not in left_out and one.younger_than(warmup_ms, state.now_ms)]
    if not warming and not left_out:
        return None
    unheard = {name for one in (*warming, *left_out) for name in (one.name, one.address) if name}
    believed = msgspec.structs.replace(
        service,
        series={key: one for key, one in service.series.items() if instances.get(key, "") not in unheard},
        observed=_without(service, {one.name for one in left_out}, current),
    )
    return Doubt(question, believed, sorted(one.name for one in warming), sorted(one.name for one in left_out))


def nearer(first: int, second: int, current: int) -> int:
    """Of two wishes the one nearer to no change; no change if they go apart."""
    if first > current:
        return min(first, max(second, current))
    return max(first, min(second, current))


def _left_out(service: Service, members: list[Member], spec: ScaleSpec, deploy: UnderWay, now_ms: int) -> list[Member]:
    """Instances beyond the wanted count, the youngest first, and those of the new version that are starting."""
    starting_ms = round(1000 * max(spec.warmup_s, spec.initialReadinessDelay_s))
    surplus = _surplus(service, members)
    return [
        one
        for one in members
        if one in surplus
        or (one.version == deploy.version != "" and (one.ready is False or one.younger_than(starting_ms, now_ms)))
    ]


def _surplus(service: Service, members: list[Member]) -> list[Member]:
    """Instances beyond the wanted count; nobody knows them without a list, for some that report may be gone."""
    observed = service.observed
    if observed is None or observed.instances is None:
        return []
    there = [one for one in members if not one.failed]
    youngest = sorted(there, key=lambda one: (-1 if one.started_ms is None else one.started_ms, one.name), reverse=True)
    return youngest[: max(0, len(there) - observed.replicas)]


def _without(service: Service, left_out: set[str], current: int) -> Any:
    """What was observed, without some instances; Kubernetes' count of those that run has no surplus then."""
    observed = service.observed
    if observed is None or not left_out:
        return observed
    kept = None if observed.instances is None else [one for one in observed.instances if one.name not in left_out]
    return msgspec.structs.replace(observed, running=min(observed.running, current), instances=kept)
