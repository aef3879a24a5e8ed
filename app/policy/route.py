"""Deploys and changes: published with what is known of the deployment, and sent on where a Route says so.

Called by `app.policy.step` for every Deploy and Change that is new on the journal. An event is
published once, however often it comes; what is late is published as late and sent nowhere.
"""

from typing import Any, Final

from app.policy import facts
from app.policy.attempt import advance
from app.policy.decision import Reason
from app.policy.deployed import Release
from app.policy.destinations import action_for, changes_instances
from app.policy.files import compiled
from app.policy.instances import replicas_of
from app.policy.kinds import Policy
from app.policy.model_route import RoutePolicy
from app.policy.recent import keep
from app.policy.release import addresses, fold_deploy, is_late, release_of, remember, running, version_of
from app.policy.rollout import follow
from app.policy.state import FORGET_MS, Service, State, remind
from app.policy.writer import Writer
from tasks.contract import Event, UpdateLoadBalancer

EVENTS: Final = 200
"""Most events of one service whose ids are kept to know repeats by."""

TYPES: Final = {
    facts.Phase.STARTED: "deploy_started",
    facts.Phase.FINISHED: "deployed",
    facts.Phase.FAILED: "deploy_failed",
    facts.Phase.ROLLED_BACK: "rolled_back",
    facts.Phase.POD_STARTED: "pod_started",
    facts.Phase.POD_STOPPED: "pod_stopped",
    facts.Phase.REMOVED: "removed",
}
"""Phase → type of the event that is published."""

ALL: Final = "*"
"""The service of a change that concerns every one."""


def take_deploy(state: State, fact: facts.Deploy, writer: Writer) -> None:
    """Fold a deploy event in, publish it and send it on."""
    service = _heard(state, fact.service)
    if _repeated(service, fact, TYPES[fact.phase], writer):
        return
    release = release_of(service, fact.environment)
    version, late = version_of(release, fact), is_late(release, fact)
    about = remember(release, fact, version)
    previous = release.previous if version == release.version else release.version
    steps = [] if late else advance(service, release, fact, version, state.now_ms)
    if not late:
        fold_deploy(release, fact, version, state.now_ms)
    event = Event(
        id=writer.next_id(), event=TYPES[fact.phase], service=fact.service, environment=fact.environment,
        at_ms=fact.at_ms, version=version, previous_version=previous, commit=about.commit, team=about.team,
        who=fact.who or about.who, link=fact.link or about.link, replicas=_replicas(service, release),
        pod=fact.pod, address=fact.address, late=late,
    )  # fmt: skip
    _publish(service, fact, event, writer)
    if late:
        evidence = _evidence(event) | {"newer": release.version, "event_decision": event.id}
        writer.write(event.service, None, Reason.EVENT_LATE, evidence)
    else:
        _send_on(state, release, event, writer)
    follow(state, fact, version, steps, writer)


def take_change(state: State, fact: facts.Change, writer: Writer) -> None:
    """Publish a change and send it on; one to all services by one partition alone, though each remembers it."""
    everywhere = fact.service == ALL
    published = not everywhere or facts.partition_of(ALL, state.partitions) == state.partition
    holder = state if everywhere else _heard(state, fact.service)
    event = Event(
        id=writer.next_id() if published else "", event=fact.type or "config_changed", service=fact.service,
        environment=fact.environment,        at_ms=fact.at_ms, who=fact.who, link=fact.link, what=fact.what,
    )  # fmt: skip
    if not published:
        if fact.event_id not in holder.events:
            _remember(holder, fact, event)
    elif not _repeated(holder, fact, event.event, writer):
        _publish(holder, fact, event, writer)
        _send_on(state, Release(), event, writer)


def _heard(state: State, name: str) -> Service:
    service = state.services.setdefault(name, Service())
    service.heard_ms = state.now_ms
    remind(state, name, service, state.now_ms + FORGET_MS)
    return service


def _repeated(holder: Service | State, fact: facts.Deploy | facts.Change, kind: str, writer: Writer) -> bool:
    """Whether the event came before, which is then said."""
    first = holder.events.get(fact.event_id) if fact.event_id else None
    if first is None:
        return False
    writer.write(fact.service, None, Reason.EVENT_REPEATED, {"event": kind, "first": first})
    return True


def _remember(holder: Service | State, fact: facts.Deploy | facts.Change, event: Event) -> None:
    if fact.event_id:
        holder.events[fact.event_id] = event.id
        while len(holder.events) > EVENTS:
            del holder.events[next(iter(holder.events))]
    keep(holder, event)


def _publish(holder: Service | State, fact: facts.Deploy | facts.Change, event: Event, writer: Writer) -> None:
    _remember(holder, fact, event)
    source = fact.source
    evidence = _evidence(event) | {"source": f"{source.topic}/{source.partition}/{source.last}"}
    writer.publish(event, evidence)


def _send_on(state: State, release: Release, event: Event, writer: Writer) -> None:
    """One action for each destination of each Route that is meant for the event, or why there is none."""
    for policy in _routes(state, event):
        for destination in policy.spec.to:
            if destination.events is not None and event.event not in destination.events:
                continue
            if not changes_instances(destination, event):
                continue
            action = action_for(destination, event, release, addresses(release), writer.next_id(), state.now_ms)
            evidence = _evidence(event) | {"event_decision": event.id}
            if isinstance(action, Reason):
                writer.write(event.service, policy, action, evidence)
                continue
            if isinstance(action, UpdateLoadBalancer) and policy.spec.mode == "active":
                release.generation = action.generation
            evidence["to"] = str(action.__struct_config__.tag)
            writer.write(event.service, policy, Reason.ROUTED, evidence, action=action)


def _routes(state: State, event: Event) -> list[RoutePolicy]:
    found: list[Policy] = [compiled(document) for document in state.policies]
    return [
        one
        for one in found
        if isinstance(one, RoutePolicy)
        and one.spec.mode != "off"
        and one.spec.matches(event.event, event.service, event.environment)
    ]


def _replicas(service: Service, release: Release) -> int | None:
    """How many replicas there are: as observed, as deploy events tell, or as many as report; None if nobody says."""
    if service.observed is not None:
        return service.observed.replicas
    return running(release) or replicas_of(service) or None


def _evidence(event: Event) -> dict[str, Any]:
    """The event's own words; those that are empty are left out."""
    words = {"event": event.event, "environment": event.environment, "version": event.version, "pod": event.pod}
    more = {"what": event.what, "who": event.who, "link": event.link, "at_ms": event.at_ms}
    return {name: value for name, value in (words | more).items() if value}
