"""Deploys and changes: enriched, published once, and sent on where a Route says so."""

import pytest

from app.policy.facts import Change, Source, partition_of
from app.policy.state import FORGET_MS, RELEASE_MS, empty, pack, unpack
from app.policy.step import step
from tasks.contract import Annotate, Notify, RecordCost, UpdateLoadBalancer, event_key
from tests.unit.policy.builders import Journal, policy, reasons

ROUTE = """
apiVersion: headrace/v1
kind: Route
metadata: {{name: deploys}}
spec:
  service: "{service}"
  environment: "{environment}"
  events: [pod_started, pod_stopped, deployed, rolled_back, removed, deploy_failed, config_changed]
  to:
    loadBalancer: {{balancer: edge, backend: "be_{{service}}"}}
    annotate: {{dashboard: main}}
    notify: {{receiver: team, events: [deployed, rolled_back, config_changed]}}
    cost: {{book: main}}
  mode: {mode}
"""


def route(service="*", environment="*", mode="active"):
    return ROUTE.format(service=service, environment=environment, mode=mode)


@pytest.fixture
def journal():
    made = Journal()
    made.policies(route())
    return made


def event_of(decided):
    (event,) = [one.event for one in decided if one.event]
    return event


def action(decided, kind):
    found = [one.action for one in decided if isinstance(one.action, kind)]
    return found[0] if found else None


def pod(journal, number, version="1.1", **more):
    return journal.deploy("pod_started", version, pod=f"web-{number}", address=f"10.0.0.{number}:80", **more)


def test_a_deploy_is_published_with_what_earlier_events_said_of_its_version(journal):
    journal.deploy("finished", "1.0", team="shop")
    journal.deploy("started", "1.1", commit="abc", who="ann", link="https://ci/7")
    journal.instances(3)
    event = event_of(journal.deploy("finished", "1.1"))
    assert (event.version, event.previous_version, event.commit, event.team) == ("1.1", "1.0", "abc", "shop")
    assert (event.who, event.link, event.replicas) == ("ann", "https://ci/7", 3)
    assert event_key(event) == "event.deployed.prod.web"


def test_an_event_goes_to_every_destination_of_its_route_once(journal):
    pod(journal, 1)
    decided = journal.deploy("finished", "1.1")
    assert reasons(decided) == ["EVENT_SEEN", "ROUTED", "ROUTED", "ROUTED", "ROUTED"]
    assert action(decided, UpdateLoadBalancer).servers == ["10.0.0.1:80"]
    assert action(decided, UpdateLoadBalancer).backend == "be_web"
    assert action(decided, RecordCost).replicas == 1
    assert action(decided, Notify).title == "web: 1.1 is deployed in prod"
    assert "deployed" in action(decided, Annotate).tags


def test_the_same_event_three_times_is_published_and_sent_once(journal):
    journal.deploy("finished", "1.1", event_id="e")
    first = journal.decisions[-4]
    for _ in range(2):
        (again,) = journal.deploy("finished", "1.1", event_id="e")
        assert (again.reason.value, again.event, again.action) == ("EVENT_REPEATED", None, None)
        assert again.evidence["first"].rpartition("-")[0] == first.id.rpartition("-")[0]


def test_a_late_deploy_is_published_as_late_and_sent_nowhere(journal):
    journal.deploy("finished", "1.2")
    decided = journal.deploy("finished", "1.1", at_s=-60, commit="old")
    assert reasons(decided) == ["EVENT_SEEN", "EVENT_LATE"]
    assert event_of(decided).late
    assert decided[-1].evidence["newer"] == "1.2"
    assert event_of(journal.deploy("rolled_back", "1.1")).commit == "old"


def test_the_balancer_gets_the_instances_that_run_and_after_the_deploy_only_its_own(journal):
    pod(journal, 1, "1.0")
    journal.deploy("finished", "1.0")
    during = pod(journal, 2, "1.1")
    assert action(during, UpdateLoadBalancer).servers == ["10.0.0.1:80", "10.0.0.2:80"]
    after = journal.deploy("finished", "1.1")
    assert action(after, UpdateLoadBalancer).servers == ["10.0.0.2:80"]
    assert action(after, UpdateLoadBalancer).generation > action(during, UpdateLoadBalancer).generation


def test_an_instance_that_started_before_its_deploy_was_announced_is_served_and_kept(journal):
    journal.deploy("finished", "1.0")
    before = pod(journal, 2, "1.1")
    assert event_of(before).previous_version == "1.0"
    assert action(before, UpdateLoadBalancer).servers == ["10.0.0.2:80"]
    journal.deploy("started", "1.1", at_s=-0.5)
    assert action(journal.deploy("finished", "1.1"), UpdateLoadBalancer).servers == ["10.0.0.2:80"]


def test_a_deploy_without_known_instances_never_empties_the_balancer(journal):
    decided = journal.deploy("finished", "1.1")
    assert "NO_BACKENDS" in reasons(decided)
    assert action(decided, UpdateLoadBalancer) is None
    pod(journal, 1)
    assert "NO_BACKENDS" in reasons(journal.deploy("pod_stopped", pod="web-1"))


def test_an_instance_that_stopped_before_its_start_was_heard_of_stays_stopped(journal):
    pod(journal, 1)
    journal.deploy("pod_stopped", "1.1", pod="web-2")
    decided = pod(journal, 2, at_s=-30)
    assert "EVENT_LATE" in reasons(decided)
    assert action(pod(journal, 3), UpdateLoadBalancer).servers == ["10.0.0.1:80", "10.0.0.3:80"]


def test_an_instance_of_an_old_version_that_is_heard_of_late_gets_no_traffic(journal):
    pod(journal, 1, "1.1")
    journal.deploy("finished", "1.1")
    assert reasons(pod(journal, 9, "1.0", at_s=-60)) == ["EVENT_SEEN", "EVENT_LATE"]


def test_the_cost_of_a_service_that_nobody_counts_is_not_invented(journal):
    assert "NO_COUNT" in reasons(journal.deploy("finished", "1.1"))
    journal.instances(0)
    assert action(journal.deploy("finished", "1.2"), RecordCost).replicas == 0


def test_a_removed_service_costs_nothing_and_its_balancer_is_left_alone(journal):
    pod(journal, 1)
    decided = journal.deploy("removed")
    assert action(decided, RecordCost).replicas == 0
    assert action(decided, UpdateLoadBalancer) is None


def test_environments_do_not_mix(journal):
    pod(journal, 1, environment="prod")
    journal.deploy("finished", "1.0", environment="prod")
    event = event_of(journal.deploy("finished", "2.0", environment="stage"))
    assert event.previous_version == ""
    assert action(journal.decisions, UpdateLoadBalancer).servers == ["10.0.0.1:80"]


def test_a_route_is_only_for_its_services_environments_and_events():
    journal = Journal()
    journal.policies(route(service="web*", environment="prod"))
    assert reasons(journal.deploy("finished", "1", service="api")) == ["EVENT_SEEN"]
    assert reasons(journal.deploy("finished", "1", environment="stage")) == ["EVENT_SEEN"]
    assert reasons(journal.deploy("started", "2")) == ["EVENT_SEEN"]
    assert len(journal.deploy("finished", "2")) > 1


def test_a_route_on_trial_is_recorded_as_such():
    journal = Journal()
    journal.policies(route(mode="shadow"))
    pod(journal, 1)
    assert {one.shadow for one in journal.decisions if one.action} == {True}


def test_a_change_is_published_told_and_evidence_for_the_scaling_after_it(journal):
    journal.policies(route(), policy(up_for="0s"))
    journal.instances(1)
    decided = journal.change("timeout 5 s", who="ann")
    assert (event_of(decided).what, event_key(event_of(decided))) == ("timeout 5 s", "event.config_changed.none.web")
    assert action(decided, Notify).title == "web: timeout 5 s"
    assert action(decided, UpdateLoadBalancer) is None
    (scaling,) = [one for one in journal.samples(95, after_s=20) if one.action]
    assert [one["what"] for one in scaling.evidence["recent"]] == ["timeout 5 s"]
    assert scaling.evidence["recent"][0]["decision"] == event_of(decided).id


def test_a_change_to_all_services_is_published_by_one_partition_and_evidence_in_each():
    change = Change(Source("deploy_events", "id", 0, 0, 0), "*", "new kernel", 1, event_id="e", type="flag_changed")
    published = []
    for partition in range(4):
        journal = Journal()
        journal.state = empty(partition)
        journal.state.partitions, journal.state.journal_id = 4, "journal"
        journal.add(change)
        journal.add(change)
        published += [partition for one in journal.decisions if one.event]
        assert [one.what for one in journal.state.recent] == ["new kernel"]
    assert published == [partition_of("*", 4)]


def test_a_service_that_only_deploys_tell_of_is_never_scaled_and_remembered_a_month(journal):
    journal.policies(route(), policy(service="*"))
    journal.deploy("finished", "1.0")
    assert journal.tick(after_s=FORGET_MS / 1000 + 5) == []
    assert event_of(journal.deploy("finished", "1.1")).previous_version == "1.0"
    journal.tick(after_s=RELEASE_MS / 1000 + 5)
    assert "web" not in journal.state.services


def test_what_is_known_of_a_deployment_survives_being_packed(journal):
    pod(journal, 1)
    journal.deploy("finished", "1.1", commit="abc")
    assert pack(unpack(pack(journal.state))) == pack(journal.state)
    record = journal.records[-1]
    assert step(unpack(pack(journal.state)), record)[1] == []


def test_two_wishes_of_one_moment_have_an_order(journal):
    first, second = (action(pod(journal, n, after_s=0), UpdateLoadBalancer) for n in (1, 2))
    assert first.decided_at_ms == second.decided_at_ms
    assert second.generation > first.generation


def test_instances_that_start_and_what_is_late_are_no_evidence(journal):
    journal.policies(route(), policy(up_for="0s"))
    journal.instances(1)
    journal.deploy("finished", "1.2")
    pod(journal, 1, "1.2")
    journal.deploy("finished", "1.1", at_s=-60)
    (scaling,) = [one for one in journal.samples(95, after_s=20) if one.action]
    assert [one["what"] for one in scaling.evidence["recent"]] == ["deployed 1.2 in prod"]
