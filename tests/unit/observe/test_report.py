"""What is told of a workload and its Pods, and that the intake reads it."""

import json
import re

import pytest

from app.observe.report import Pods, report, service_of
from app.policy.facts import Source
from app.wire.internal import MOST_LISTED, instances
from app.wire.rules import Raw, Rules

NOW_MS = 1_795_860_000_000


def workload(name="web", selector=None, **fields):
    spec = {"replicas": 3, "selector": selector or {"matchLabels": {"app": "web"}}}
    meta = {"name": name, "namespace": "shop", "labels": {}, "annotations": {}}
    one = {"metadata": meta, "spec": spec, "status": {"replicas": 3, "readyReplicas": 2}}
    for place, value in fields.items():
        one[place] |= value
    return one


def pod(name="web-1", labels=(("app", "web"),), namespace="shop", containers=None, status=None, **meta):
    made = {"name": name, "namespace": namespace, "labels": dict(labels), **meta}
    main = {"name": "main", "image": "web:1", "resources": {"requests": {"cpu": "100m"}}}
    return {"metadata": made, "spec": {"containers": containers or [main]}, "status": status or {"phase": "Pending"}}


def told(one, *pods, generation=0):
    """The fact that the intake makes of it."""
    message = report(one, Pods(pods).of(one), generation) | {"at": NOW_MS}
    raw = Raw("instances", "t", 0, 0, NOW_MS, None, json.dumps(message).encode())
    return instances(raw, Source("t", "t", 0, 0, 0), Rules(4, re.compile("web"), 60_000, NOW_MS))


def test_counts_and_generation_are_taken_from_spec_status_and_annotation():
    fact = told(workload(metadata={"annotations": {"headrace.dev/generation": "1795844718054"}}))
    assert (fact.wanted, fact.running, fact.ready, fact.generation) == (3, 3, 2, 1795844718054)
    assert fact.instances == []


@pytest.mark.parametrize("text", ["x", "", "-1", "1.5", "\uff19", "9" * 20, str(2**53), None])
def test_a_generation_that_is_none_is_none(text):
    assert told(workload(metadata={"annotations": {"headrace.dev/generation": text}})).generation == 0


def test_a_generation_that_was_seen_is_not_forgotten():
    assert told(workload(metadata={"annotations": {"headrace.dev/generation": "5"}}), generation=7).generation == 7


def test_what_a_new_object_does_not_say_yet_is_zero():
    bare = workload()
    bare["status"] = {}
    assert (told(bare).running, told(bare).ready) == (0, 0)
    assert told(workload(metadata={"labels": None, "annotations": None})).wanted == 3


def test_the_service_is_the_label_or_the_name():
    assert service_of(workload()) == "web"
    assert service_of(workload(metadata={"labels": {"app.kubernetes.io/name": "shop-web"}})) == "shop-web"


READY = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-28T09:00:05Z"}


@pytest.mark.parametrize(
    ("conditions", "ready"),
    [([READY], True), ([READY | {"status": "False"}], False), ([READY | {"status": "Unknown"}], None), ([], False)],
)
def test_readiness_is_what_the_condition_says(conditions, ready):
    status = {"phase": "Running", "startTime": "2026-11-28T09:00:00Z", "conditions": conditions}
    (seen,) = told(workload(), pod(status=status)).instances
    assert seen.ready is ready
    assert seen.since_ms - seen.started_ms == (5000 if conditions else 0)


def test_a_pod_that_goes_and_one_that_fails_are_told_as_such():
    going, failed = told(
        workload(), pod("a", deletionTimestamp="2026-11-28T09:00:00Z"), pod("b", status={"phase": "Failed"})
    ).instances
    assert (going.deleted, failed.deleted, failed.phase) == (True, False, "Failed")


def test_restarts_are_those_of_all_containers():
    counts = [{"restartCount": 2}, {"restartCount": 3}]
    assert told(workload(), pod(status={"containerStatuses": counts})).instances[0].restarts == 5


def container(name="main", **requests):
    return {"name": name, "image": "x:1", "resources": {"requests": requests}}


@pytest.mark.parametrize(
    ("spec", "requests"),
    [
        ({"containers": [container(cpu="100m"), container("b", cpu=1)]}, {"cpu": 1100}),
        ({"containers": [container(cpu="100m"), container("b", memory="1Ki")]}, {}),
        ({"containers": [container(cpu="100m"), container("b", cpu="much")]}, {}),
        ({"containers": [{"name": "a", "image": "x"}]}, {}),
        ({"containers": [container(cpu="1")], "initContainers": [container("i", cpu="5")]}, {"cpu": 1000}),
        (
            {
                "containers": [container(cpu="1")],
                "initContainers": [container("s", cpu="0.5") | {"restartPolicy": "Always"}],
            },
            {"cpu": 1500},
        ),
        ({"containers": [container(), container()], "resources": {"requests": {"cpu": "2"}}}, {"cpu": 2000}),
    ],
)
def test_a_pod_requests_what_its_containers_request_together(spec, requests):
    """One that says nothing makes the sum unknown; init containers are over by the time, but for those that stay."""
    one = pod()
    one["spec"] = spec
    assert told(workload(), one).instances[0].requests == requests


@pytest.mark.parametrize(
    ("selector", "chosen"),
    [
        ({"matchLabels": {"app": "web"}}, ["a", "b"]),
        ({"matchLabels": {"app": "web", "tier": "x"}}, ["b"]),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "db"]}]}, ["a", "b", "c"]),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}, ["c", "d"]),
        ({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}, ["b"]),
        (
            {"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]},
            ["a"],
        ),
    ],
)
def test_the_pods_are_those_that_the_workload_selects(selector, chosen):
    pods = [
        pod("b", (("app", "web"), ("tier", "x"))), pod("a"), pod("c", (("app", "db"),)), pod("d", ()),
        pod("e", namespace="other"),
    ]  # fmt: skip
    assert [one.name for one in told(workload(selector=selector), *pods).instances] == chosen


def test_of_more_pods_than_the_intake_takes_there_are_the_counts():
    pods = [pod(f"web-{number:04}") for number in range(MOST_LISTED + 1)]
    assert len(told(workload(), *pods[:-1]).instances) == MOST_LISTED
    fact = told(workload(), *pods)
    assert (fact.instances, fact.wanted) == (None, 3)
