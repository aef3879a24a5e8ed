"""Deploys watched: which policies watch which deploy, and when one is looked at again.

Called by `app.policy.route` for each deploy event (`follow`), and by `app.policy.evaluate` whenever the service
is looked at (`watch_over`). What a watch comes to is `app.policy.watching`'s.
"""

from collections.abc import Iterator

from app.policy.attempt import Step
from app.policy.decision import Reason
from app.policy.deployed import Undone
from app.policy.facts import Deploy
from app.policy.files import compiled
from app.policy.fold import meant_for
from app.policy.state import State, remind
from app.policy.verdict import Case, tell_undone
from app.policy.watching import Watching, due_ms
from app.policy.writer import Writer


def follow(state: State, fact: Deploy, version: str, steps: list[Step], writer: Writer) -> None:
    """Take what a deploy event means to each policy that watches; `steps` are in their order."""
    for policy in meant_for(state, fact.service).rollouts if steps else ():
        if policy.spec.is_for(fact.environment):
            case = Case(state, fact.service, fact.environment, policy, writer)
            for step in steps:
                Watching(case).take(step, fact, version)
    for at_ms in due(state, fact.service):
        remind(state, fact.service, state.services[fact.service], max(at_ms, state.now_ms + 1))


def watch_over(state: State, name: str, writer: Writer) -> None:
    """Judge what is to be judged now, and say what became of a rollback."""
    service = state.services[name]
    if service.watches:
        _look(state, name, writer)
    if service.undone is not None:
        _tell(state, name, service.undone, writer)


def due(state: State, name: str) -> Iterator[int]:
    """When something of a service is due by time alone."""
    service = state.services[name]
    if service.undone is not None and not service.undone.said:
        yield service.undone.until_ms
    if not service.watches:
        return
    policies = {one.metadata.name: one for one in meant_for(state, name).rollouts}
    for key, watch in service.watches.items():
        policy = policies.get(key.partition("\x1f")[0])
        if policy is not None and (at_ms := due_ms(watch, policy.spec)) is not None:
            yield at_ms


def _look(state: State, name: str, writer: Writer) -> None:
    service = state.services[name]
    policies = {one.metadata.name: one for one in meant_for(state, name).rollouts}
    for key, watch in list(service.watches.items()):
        policy_name, _, environment = key.partition("\x1f")
        policy = policies.get(policy_name)
        if policy is None or not policy.spec.is_for(environment) or environment not in service.releases:
            del service.watches[key]
            if watch.announced:
                deploy = {"version": watch.version, "environment": environment}
                writer.write(name, policy, Reason.ROLLOUT_DROPPED, {"deploy": deploy, "watched_by": policy_name})
        elif watch.announced:
            Watching(Case(state, name, environment, policy, writer)).look()


def _tell(state: State, name: str, undone: Undone, writer: Writer) -> None:
    found = (compiled(one) for one in state.policies if one.name == undone.policy)
    tell_undone(state, name, undone, next((one for one in found if one.spec.mode == "active"), None), writer)
