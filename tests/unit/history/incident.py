"""Half a minute in the life of a service, and the account of it."""

from app.history.timeline import account
from tasks.contract import Kind, Outcome, Status
from tests.unit.policy.builders import START_MS, Journal, policy
from tests.unit.policy.test_route import route

HOUR = (START_MS, START_MS + 3_600_000)


def incident():
    """Half a minute of a service: policies, a deploy, a change, load, a scaling and its outcome."""
    made = Journal()
    made.policies(policy(up_for="0s", notify="team"), route())
    made.instances(1)
    made.deploy("pod_started", "2", pod="web-1", address="10.0.0.1:80", who="ann")
    made.deploy("finished", "2", who="ann")
    made.change("timeout 5 s", who="bob")
    for load in (40, 42, 95):
        made.samples(load, after_s=5)
    made.outcome(next(one.action for one in made.decisions if one.action and hasattr(one.action, "to_replicas")))
    return made


def outcomes_of(journal):
    scaling = next(one for one in journal.decisions if one.action and hasattr(one.action, "to_replicas"))
    return [
        Outcome(
            id=scaling.id, action=Kind.SCALE, service="web", status=Status.DONE, detail="1 → 2 replicas",
            ended_at_ms=scaling.at_ms + 40,
        )
    ]  # fmt: skip


def told_of_events(journal, stretch=HOUR):
    return account("web", stretch, journal.records, [], [])[0]


def told(journal, service="web", stretch=HOUR):
    return account(service, stretch, journal.records, journal.decisions, outcomes_of(journal))[0]
