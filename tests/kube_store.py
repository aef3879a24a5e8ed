"""What the stand-in for a Kubernetes API keeps: objects with one counter as resource version, and every change.

As strict as the real server where the product leans on it: preconditions, no change without a new version, none
for a change that is none, numbers of 32 bits, the template's labels, versions that are too old. Asked for by
`tests.kube_stand_in`. With `controllers`, each write is followed by what the controllers do: ReplicaSets with
revisions and copied annotations, Pods that wait for a node, counts in the status.
"""

import copy
import hashlib
import json
import threading
import uuid
from datetime import UTC, datetime

KINDS = {
    "deployments": ("apps", "Deployment"), "statefulsets": ("apps", "StatefulSet"),
    "replicasets": ("apps", "ReplicaSet"), "pods": ("", "Pod"),
}  # fmt: skip
OLDEST = 996
"""Versions before this one were forgotten when the server started."""

INT32 = 2**31
REVISION = "deployment.kubernetes.io/revision"
TEMPLATE = {
    "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst", "securityContext": {},
    "schedulerName": "default-scheduler",
}  # fmt: skip
SPECS = {
    "Deployment": {
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}},
        "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600,
    },
    "StatefulSet": {
        "podManagementPolicy": "OrderedReady", "revisionHistoryLimit": 10,
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0, "maxUnavailable": 1}},
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
    },
}  # fmt: skip
"""Defaults of each kind."""


class RefusedError(Exception):
    """An answer that is not 2xx: status, reason, message and details of the API's Status."""

    def __init__(self, status, reason, message, details=None) -> None:
        super().__init__(message)
        self.status, self.reason, self.details = status, reason, details


def qualified(plural):
    return ".".join(filter(None, (plural, KINDS[plural][0])))


def details(plural, name):
    """What a Status says that it is about; the core group has no name and is left out."""
    group = {"group": KINDS[plural][0]} if KINDS[plural][0] else {}
    return {"name": name, **group, "kind": plural}


def invalid(kind, group, name, field, why):
    causes = [{"reason": "FieldValueInvalid", "message": why, "field": field}]
    told = {"name": name, "group": group, "kind": kind, "causes": causes}
    return RefusedError(422, "Invalid", f'{kind}.{group} "{name}" is invalid: {field}: {why}', told)


def undecodable(before, why):
    told = f"Invalid value: {json.dumps(json.dumps(before, separators=(',', ':')))}: {why}"
    causes = [{"reason": "FieldValueInvalid", "message": told, "field": "patch"}]
    return RefusedError(422, "Invalid", f' "" is invalid: patch: {told}', {"causes": causes})


class Store:
    """Objects by (plural, namespace, name), and `events`: (version, type, plural, object, the one before)."""

    def __init__(self, controllers=False) -> None:
        self.lock = threading.Condition()
        self.controllers = controllers
        self.objects, self.events, self.owners = {}, [], {}
        self.version, self.oldest = 1000, OLDEST

    def get(self, plural, namespace, name):
        found = self.objects.get((plural, namespace, name))
        if found is None:
            message = f'{qualified(plural)} "{name}" not found'
            raise RefusedError(404, "NotFound", message, details(plural, name))
        return copy.deepcopy(found)

    def all_of(self, plural, namespace):
        keys = sorted(key for key in self.objects if key[0] == plural and namespace in {None, key[1]})
        return [copy.deepcopy(self.objects[key]) for key in keys]

    def create(self, plural, namespace, given, manager):
        made, (_, kind) = copy.deepcopy(given), KINDS[plural]
        name = made["metadata"]["name"]
        if (plural, namespace, name) in self.objects:
            raise RefusedError(
                409, "AlreadyExists", f'{qualified(plural)} "{name}" already exists', details(plural, name)
            )
        made["metadata"] |= {
            "namespace": namespace, "uid": str(uuid.uuid4()), "generation": 1,
            "creationTimestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }  # fmt: skip
        _default(kind, made)
        _check(plural, made)
        self.owners[plural, namespace, name] = (manager, "Update", "", "apps/v1")
        return self._store("ADDED", plural, made)

    def write(self, plural, before, after, dry_run=False):
        """Store what an object has become; 409 if it is not the one that was meant, nothing if nothing changed."""
        name, given = before["metadata"]["name"], after["metadata"]
        if given.get("resourceVersion", "") not in {"", before["metadata"]["resourceVersion"]}:
            why = "the object has been modified; please apply your changes to the latest version and try again"
            raise conflict(plural, name, qualified(plural), why)
        given["resourceVersion"] = before["metadata"]["resourceVersion"]
        _default(KINDS[plural][1], after)
        _check(plural, after)
        spec = after.get("spec") != before.get("spec")
        if spec or (plural == "deployments" and given.get("annotations") != before["metadata"].get("annotations")):
            given["generation"] = before["metadata"]["generation"] + 1
        if dry_run or after == before:
            return after
        return self._store("MODIFIED", plural, after)

    def delete(self, plural, namespace, name):
        gone = self.get(plural, namespace, name)
        del self.objects[plural, namespace, name]
        self._note("DELETED", plural, gone)
        for (kind, place, child), one in list(self.objects.items()):
            if any(owner["uid"] == gone["metadata"]["uid"] for owner in one["metadata"].get("ownerReferences", ())):
                self.delete(kind, place, child)
        return gone

    def _store(self, event, plural, one):
        self._note(event, plural, one)
        if self.controllers and plural == "deployments":
            answer = copy.deepcopy(one)
            self._controlled(one)
            return answer
        return one

    def _note(self, event, plural, one):
        self.version += 1
        one["metadata"]["resourceVersion"] = str(self.version)
        key = (plural, one["metadata"]["namespace"], one["metadata"]["name"])
        before = self.objects.get(key)
        if event != "DELETED":
            self.objects[key] = copy.deepcopy(one)
        self.events.append((self.version, event, plural, copy.deepcopy(one), before))
        self.lock.notify_all()

    def _controlled(self, deployment):
        """What the controllers make of a Deployment, all at once: no kubelet is there, so Pods stay Pending."""
        meta, spec = deployment["metadata"], deployment["spec"]
        mine = [one for one in self.all_of("replicasets", meta["namespace"]) if _owned(one, meta["uid"])]
        revisions = {one["metadata"]["name"]: int(one["metadata"]["annotations"][REVISION]) for one in mine}
        hash_ = hashlib.sha256(json.dumps(spec["template"], sort_keys=True).encode()).hexdigest()[:9]
        current = f"{meta['name']}-{hash_}"
        if current not in revisions:
            self._note("ADDED", "replicasets", _replica_set(deployment, current, hash_))
        newest = max(revisions.values(), default=0)
        revision = newest if revisions.get(current) == newest and newest else newest + 1
        for one in self.all_of("replicasets", meta["namespace"]):
            if not _owned(one, meta["uid"]):
                continue
            after = copy.deepcopy(one)
            runs = one["metadata"]["name"] == current
            after["spec"]["replicas"] = spec["replicas"] if runs else 0
            if runs:
                copied = {name: text for name, text in meta.get("annotations", {}).items() if name != REVISION}
                after["metadata"].setdefault("annotations", {}).update(copied | {REVISION: str(revision)})
            if after != one:
                self._note("MODIFIED", "replicasets", after)
            self._peopled(after)
        after = copy.deepcopy(deployment)
        after["metadata"].setdefault("annotations", {})[REVISION] = str(revision)
        count = spec["replicas"]
        after["status"] = {"observedGeneration": meta["generation"], "replicas": count, "updatedReplicas": count}
        if after != deployment:
            self._note("MODIFIED", "deployments", after)

    def _peopled(self, replica_set):
        meta, template = replica_set["metadata"], replica_set["spec"]["template"]
        pods = [one for one in self.all_of("pods", meta["namespace"]) if _owned(one, meta["uid"])]
        for one in pods[replica_set["spec"]["replicas"] :]:
            self.delete("pods", meta["namespace"], one["metadata"]["name"])
        for _ in range(replica_set["spec"]["replicas"] - len(pods)):
            pod = copy.deepcopy(template) | {"apiVersion": "v1", "kind": "Pod", "status": {"phase": "Pending"}}
            pod["metadata"] |= {
                "name": f"{meta['name']}-{uuid.uuid4().hex[:5]}", "namespace": meta["namespace"], "generation": 1,
                "uid": str(uuid.uuid4()), "ownerReferences": [_owner(replica_set)],
            }  # fmt: skip
            self._note("ADDED", "pods", pod)


def conflict(plural, name, told, why, group=None):
    message = f'Operation cannot be fulfilled on {told} "{name}": {why}'
    told = {"name": name, "group": KINDS[plural][0] if group is None else group, "kind": plural}
    return RefusedError(409, "Conflict", message, told)


def _owned(one, uid):
    return any(owner["uid"] == uid for owner in one["metadata"].get("ownerReferences", ()))


def _owner(one):
    meta = one["metadata"]
    told = {"apiVersion": "apps/v1", "kind": one["kind"], "name": meta["name"], "uid": meta["uid"]}
    return told | {"controller": True, "blockOwnerDeletion": True}


def _replica_set(deployment, name, hash_):
    meta, spec = deployment["metadata"], copy.deepcopy(deployment["spec"])
    label = {"pod-template-hash": hash_}
    template = spec["template"]
    template["metadata"]["labels"] = template["metadata"]["labels"] | label
    return {
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "name": name, "namespace": meta["namespace"], "uid": str(uuid.uuid4()), "generation": 1,
            "labels": template["metadata"]["labels"], "ownerReferences": [_owner(deployment)], "annotations": {},
        },
        "spec": {
            "replicas": 0, "selector": {"matchLabels": spec["selector"]["matchLabels"] | label}, "template": template,
        },
        "status": {},
    }  # fmt: skip


def _default(kind, one):
    one.setdefault("status", {})
    if kind == "Pod":
        return
    spec = one["spec"]
    spec.setdefault("replicas", 1)
    for container in spec["template"]["spec"]["containers"]:
        tag = container["image"].rpartition("/")[2].partition(":")[2]
        for name, value in (
            ("resources", {}), ("terminationMessagePath", "/dev/termination-log"), ("terminationMessagePolicy", "File"),
            ("imagePullPolicy", "IfNotPresent" if tag not in {"", "latest"} else "Always"),
        ):  # fmt: skip
            container.setdefault(name, value)
    for name, value in TEMPLATE.items():
        spec["template"]["spec"].setdefault(name, value)
    for name, value in SPECS.get(kind, {}).items():
        spec.setdefault(name, copy.deepcopy(value))


def _check(plural, one):
    """What the real server checks of what the product writes."""
    group, kind = KINDS[plural]
    spec, name = one.get("spec", {}), one["metadata"]["name"]
    for place, text in one["metadata"].get("annotations", {}).items():
        if not isinstance(text, str):
            raise undecodable(one, f"json: cannot unmarshal number into Go struct field .metadata.annotations {place}")
    if kind == "Pod":
        return
    if spec["replicas"] < 0:
        why = f"Invalid value: {spec['replicas']}: must be greater than or equal to 0"
        raise invalid(kind, group, name, "spec.replicas", why)
    labels = spec["template"]["metadata"].get("labels", {})
    if not spec["selector"]["matchLabels"].items() <= labels.items():
        why = f"Invalid value: {json.dumps(labels, separators=(',', ':'))}: `selector` does not match template `labels`"
        raise invalid(kind, group, name, "spec.template.metadata.labels", why)
