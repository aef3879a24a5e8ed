"""The driver `kubernetes` on the stand-in, and on a real API server where HEADRACE_KUBE_API names one.

Both have to give the same; it has the rights of docker/kubernetes/rbac.yaml and no others.
"""

import json
import threading

import msgspec
import pytest

from tasks.clients.cluster import Cluster
from tasks.clients.kubernetes import Kubernetes
from tasks.contract import RollBack, Scale
from tasks.errors import ConflictError, PermanentError, TemporaryError
from tasks.workloads import GENERATION, ROLLED_BACK, SCALED
from tests.kube_lanes import MERGE
from tests.processes import wait_for

SAME = {"service": "web", "decided_at_ms": 1, "expires_at_ms": 2**45}
SCALE = Scale(id="j-0-1-0", from_replicas=2, to_replicas=4, generation=17, **SAME)
BACK = RollBack(id="j-0-2-0", environment="prod", from_version="2", to_version="1", generation=17, **SAME)


@pytest.fixture
def driver(lane):
    return Kubernetes(Cluster(lane.granted("headrace-workers")))


def but(action, **fields):
    return msgspec.structs.replace(action, **fields)


def annotations(one):
    return one["metadata"].get("annotations", {})


def test_a_scaling_sets_the_count_and_notes_its_generation(lane, driver):
    lane.deploy()
    assert driver.scale(SCALE) == (2, 4)
    now = lane.get()
    assert now["spec"]["replicas"] == 4
    assert annotations(now)[GENERATION] == "17"
    assert json.loads(annotations(now)[SCALED]) == {"id": "j-0-1-0", "found": 2, "became": 4}
    assert driver.applied(SCALE) == 4
    assert driver.applied(but(SCALE, id="other")) is None


def test_a_repeated_scaling_has_one_effect_and_says_the_same_each_time(lane, driver):
    lane.deploy()
    before = lane.get()
    assert [driver.scale(SCALE) for _ in range(5)] == [(2, 4)] * 5
    lane.set(9)
    assert driver.scale(SCALE) == (2, 4)  # what somebody did since is theirs
    assert lane.counts(before) == [2, 4, 9]


def test_an_older_generation_is_refused(lane, driver):
    lane.deploy()
    before = lane.get()
    driver.scale(SCALE)
    with pytest.raises(ConflictError, match="generation 17 was applied before"):
        driver.scale(but(SCALE, id="older", to_replicas=8, generation=16))
    assert driver.scale(but(SCALE, id="newer", from_replicas=4, to_replicas=3, generation=18)) == (4, 3)
    assert lane.counts(before) == [2, 4, 3]


@pytest.mark.parametrize(("found", "to", "became"), [(6, 4, 6), (1, 4, 4), (1, 0, 0), (0, 1, 0), (4, 4, 4)])
def test_whoever_went_further_in_the_same_direction_stands(lane, driver, found, to, became):
    """A scale-up from 2 never lowers, a scale-down never raises."""
    lane.deploy(replicas=found)
    assert driver.scale(but(SCALE, to_replicas=to)) == (found, became)
    assert (lane.replicas(), annotations(lane.get())[GENERATION]) == (became, "17")


def test_two_writers_at_a_time_end_with_the_newest(lane, driver):
    """Each round two workers scale one Deployment, the newer and the older; what stays is the newer's."""
    lane.deploy(replicas=1)
    refused = 0
    other = Kubernetes(Cluster(lane.granted("headrace-workers")))
    for round_ in range(1, 21):
        said, results = threading.Barrier(2), {}

        def scale(mine, action, said=said, results=results):
            said.wait()
            try:
                results[action.id] = mine.scale(action)
            except (ConflictError, TemporaryError) as why:
                results[action.id] = why

        actions = [
            but(SCALE, id=f"{round_}-{name}", from_replicas=0, to_replicas=count, generation=2 * round_ + newer)
            for name, newer, count in (("older", 0, 3 * round_ + 1), ("newer", 1, 3 * round_ + 2))
        ]
        threads = [threading.Thread(target=scale, args=pair) for pair in zip((driver, other), actions, strict=True)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert isinstance(results[f"{round_}-newer"], tuple), results
        refused += isinstance(results[f"{round_}-older"], ConflictError)
        assert lane.replicas() == 3 * round_ + 2
        assert annotations(lane.get())[GENERATION] == str(2 * round_ + 1)
    print(f"of 20 races the older was refused in {refused}, and came first in the others")


def test_a_workload_that_is_not_there_is_told(lane, driver):
    with pytest.raises(PermanentError, match=r'refuses \(404\): deployments.apps "gone" not found'):
        driver.scale(but(SCALE, target="gone"))


def test_a_right_that_is_missing_is_named(lane, driver):
    lane.deploy()
    with pytest.raises(PermanentError, match=r'\(403\).* cannot get resource "deployments".* in the namespace "other"'):
        driver.scale(but(SCALE, target="other/web"))
    nobody = Kubernetes(Cluster(lane.granted("nobody")))
    with pytest.raises(PermanentError, match=r'\(403\).* cannot get resource "deployments"'):
        nobody.scale(SCALE)
    assert lane.replicas() == 2


def test_a_token_that_nobody_knows_is_told_and_the_next_one_is_read(lane, driver):
    lane.deploy()
    config = lane.granted("headrace-workers")
    secret = config.with_name(f"{config.name}.token")
    right = secret.read_text()
    secret.write_text("s3cret-and-wrong")
    with pytest.raises(PermanentError, match="does not know who asks") as told:
        driver.scale(SCALE)
    assert "s3cret" not in str(told.value)
    secret.write_text(right)
    assert driver.scale(SCALE) == (2, 4)


@pytest.mark.parametrize("plural", ["statefulsets", "replicasets"])
def test_stateful_sets_and_replica_sets_of_nobody_are_scaled_too(lane, driver, plural):
    lane.deploy("db", plural=plural)
    target = f"{lane.namespace}/{plural}/db"
    assert driver.scale(but(SCALE, target=target)) == (2, 4)
    assert driver.scale(but(SCALE, target=target)) == (2, 4)
    assert lane.replicas("db", plural) == 4


def test_the_replica_set_of_a_deployment_is_not_scaled_behind_its_back(lane, driver):
    lane.deploy()
    name = lane.items("replicasets")[0]["metadata"]["name"]
    with pytest.raises(PermanentError, match="is kept by Deployment web: name that as the target"):
        driver.scale(but(SCALE, target=f"replicaset/{name}"))


def test_a_count_that_the_api_cannot_hold_is_told(lane, driver):
    lane.deploy()
    with pytest.raises(PermanentError, match="at most 2147483647 replicas"):
        driver.scale(but(SCALE, to_replicas=2**31))


def two_versions(lane, **more):
    lane.deploy(version="1", **more)
    lane.deploy(version="2")


def image(lane):
    return lane.get()["spec"]["template"]["spec"]["containers"][0]["image"].rpartition(":")[2]


def test_a_rollback_runs_the_version_again_that_its_replica_set_has_once(lane, driver):
    two_versions(lane)
    lane.patch({"spec": {"template": {"metadata": {"labels": {"tier": "front"}}}}})
    wait_for(lambda: lane.kept() == ["1", "2", "2"], 20, "the ReplicaSet of a third template, of version 2")
    assert [driver.roll_back(BACK) for _ in range(3)] == [("2", "1")] * 3
    now = lane.get()
    assert now["spec"]["template"]["metadata"]["labels"] == {"app": "web"}
    assert image(lane) == "1"
    assert driver.rolled_back(BACK) == "1"
    assert driver.rolled_back(but(BACK, id="other")) is None
    assert annotations(now)[GENERATION] == "17"
    assert json.loads(annotations(now)[ROLLED_BACK]) == {"id": "j-0-2-0", "found": "2", "became": "1"}
    assert lane.kept() == ["1", "2", "2"]  # nothing was made anew
    lane.deploy(version="2")
    assert driver.roll_back(BACK) == ("2", "1")
    assert image(lane) == "2"  # what somebody deployed since is theirs


def test_a_rollback_restores_the_annotations_of_then_and_keeps_what_is_the_deployments_own(lane, driver):
    cause = "kubernetes.io/change-cause"
    lane.deploy(annotations={cause: "first", "kubectl.kubernetes.io/last-applied-configuration": "{}"})
    driver.scale(but(SCALE, id="under-1", to_replicas=3, generation=16))
    wait_for(lambda: SCALED in annotations(lane.items("replicasets")[0]), 20, "the controller to copy the note")
    lane.deploy(version="2")
    lane.patch({"metadata": {"annotations": {cause: "second"}}})
    driver.scale(SCALE)
    driver.roll_back(but(BACK, generation=18))
    kept = annotations(lane.get())
    assert (kept[cause], kept["kubectl.kubernetes.io/last-applied-configuration"]) == ("first", "{}")
    assert kept[GENERATION] == "18"
    assert driver.applied(SCALE) == 4  # the note of then came not back


def test_a_version_that_runs_already_is_no_effect(lane, driver):
    two_versions(lane)
    before = lane.get()["spec"]
    assert driver.roll_back(but(BACK, from_version="1", to_version="2")) == ("2", "2")
    assert lane.get()["spec"] == before
    assert annotations(lane.get())[GENERATION] == "17"


def test_another_version_that_somebody_deployed_meanwhile_is_left_alone(lane, driver):
    two_versions(lane)
    lane.deploy(version="3")
    with pytest.raises(ConflictError, match="version 3 runs by now"):
        driver.roll_back(BACK)
    assert image(lane) == "3"


def test_a_version_that_is_not_kept_is_told_with_those_that_are(lane, driver):
    two_versions(lane)
    with pytest.raises(PermanentError, match="keeps no ReplicaSet of version 7; there are 2, 1"):
        driver.roll_back(but(BACK, to_version="7"))


def test_a_deployment_that_is_paused_is_not_rolled_back(lane, driver):
    two_versions(lane)
    lane.patch({"spec": {"paused": True}})
    with pytest.raises(PermanentError, match="is paused"):
        driver.roll_back(BACK)
    assert image(lane) == "2"


def test_only_a_deployment_can_be_rolled_back(lane, driver):
    with pytest.raises(PermanentError, match="only a Deployment"):
        driver.roll_back(but(BACK, target="statefulset/db"))


def test_scalings_and_rollbacks_are_in_one_order(lane, driver):
    two_versions(lane)
    driver.scale(but(SCALE, generation=18))
    with pytest.raises(ConflictError, match="generation 18"):
        driver.roll_back(BACK)
    driver.roll_back(but(BACK, generation=19))
    with pytest.raises(ConflictError, match="generation 19"):
        driver.scale(but(SCALE, id="late", generation=18))
    assert (image(lane), lane.replicas()) == ("1", 4)


def test_the_label_of_the_version_counts_before_the_tag(lane, driver):
    two_versions(lane)
    lane.patch({"spec": {"template": {"metadata": {"labels": {"app.kubernetes.io/version": "2.0"}}}}})
    with pytest.raises(ConflictError, match=r"version 2\.0 runs by now"):
        driver.roll_back(BACK)
    assert driver.roll_back(but(BACK, from_version="2.0")) == ("2.0", "1")


def test_what_was_written_onto_the_workload_by_somebody_else_is_no_obstacle(lane, driver):
    lane.deploy()
    lane.ask(
        "PATCH", lane.path("deployments", "web"), {"metadata": {"annotations": {GENERATION: "x", SCALED: "["}}}, MERGE
    )
    assert driver.scale(SCALE) == (2, 4)
