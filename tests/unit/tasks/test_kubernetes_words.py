"""Targets, versions and releases of Kubernetes, as words: no cluster is asked."""

import pytest

from tasks.clients.releases import release
from tasks.clients.workload import Workload
from tasks.errors import PermanentError
from tasks.workloads import version_of


def parsed(target):
    return Workload.parse(target, lambda: "usual")


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("web", ("usual", "Deployment", "web")),
        ("shop/web", ("shop", "Deployment", "web")),
        ("statefulset/db", ("usual", "StatefulSet", "db")),
        ("StatefulSets/db", ("usual", "StatefulSet", "db")),
        ("shop/ReplicaSet/web.v1", ("shop", "ReplicaSet", "web.v1")),
        ("shop/deployment/web", ("shop", "Deployment", "web")),
    ],
)
def test_a_target_names_a_workload(target, found):
    assert parsed(target) == found


@pytest.mark.parametrize(
    "target",
    ["", "/", "shop/", "/web", "a/b/c/d", "shop/Pod/web", "shop/Deployment/", "Web", "../secrets", "shop/..", "web?x=1",
     "shop/Deployment/web/scale", "-web", "web\n", "sh.op/web", "a" * 254, f"{'a' * 64}/web", "shop/Deployment/wéb"],
)  # fmt: skip
def test_a_target_that_is_none_is_told_with_how_to_write_one(target):
    with pytest.raises(PermanentError, match="write namespace/kind/name, such as shop/Deployment/web"):
        parsed(target)


def test_a_workload_is_told_in_words():
    assert str(parsed("shop/statefulset/db")) == "StatefulSet shop/db"


def template(*images, labels=None, annotations=None, names="abc"):
    containers = [{"name": name, "image": image} for name, image in zip(names, images, strict=False)]
    return {"metadata": {"labels": labels, "annotations": annotations}, "spec": {"containers": containers}}


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("web:1.2", "1.2"),
        ("registry:5000/shop/web:1.2-rc.1", "1.2-rc.1"),
        ("registry:5000/shop/web", ""),
        ("web", ""),
        ("web:1.2@sha256:abc", "1.2"),
        ("registry:5000/web@sha256:abc", "sha256:abc"),
        (None, ""),
    ],
)
def test_the_version_is_the_tag_of_the_image(image, version):
    assert version_of(template(image)) == version


def test_the_version_is_of_the_main_container_and_a_label_counts_before_it():
    assert version_of(template("proxy:9", "web:1")) == "9"
    assert version_of(template("proxy:9", "web:1", annotations={"kubectl.kubernetes.io/default-container": "b"})) == "1"
    assert version_of(template("web:1", labels={"app.kubernetes.io/version": "2.0"})) == "2.0"
    assert version_of({"metadata": {}, "spec": {"containers": []}}) == ""


DEPLOYMENT = {"metadata": {"name": "web", "uid": "u1"}}


def kept(name, version, revision, uid="u1", controller=True):
    owner = {"uid": uid, "kind": "Deployment", "name": "web", "controller": controller}
    marks = {} if revision is None else {"deployment.kubernetes.io/revision": revision}
    return {
        "metadata": {"name": name, "ownerReferences": [owner], "annotations": marks},
        "spec": {"template": template(f"web:{version}")},
    }


def test_of_several_replica_sets_of_a_version_the_newest_counts():
    sets = [kept("a", "1", "2"), kept("b", "1", "10"), kept("c", "1", None), kept("d", "2", "11")]
    assert release(DEPLOYMENT, sets, "1")["metadata"]["name"] == "b"


def test_a_replica_set_of_another_deployment_does_not_count():
    sets = [kept("a", "1", "2", uid="u2"), kept("b", "1", "3", controller=False)]
    with pytest.raises(PermanentError, match="there are none"):
        release(DEPLOYMENT, sets, "1")
