"""The patches that the stand-in for a Kubernetes API takes: merge, JSON, and apply of a scale."""

import copy

from tests.kube_store import INT32, RefusedError, conflict, invalid, undecodable

MERGE, JSON, APPLY = "application/merge-patch+json", "application/json-patch+json", "application/apply-patch+yaml"


def patched(one, kind, patch):
    """What an object becomes by a merge patch or a JSON patch."""
    if kind == MERGE:
        return merged(copy.deepcopy(one), patch)
    found = copy.deepcopy(one)
    for step in patch:
        *path, last = [word.replace("~1", "/").replace("~0", "~") for word in step["path"].split("/")[1:]]
        place = found
        for word in path:
            place = place.get(word, {}) if isinstance(place, dict) else {}
        if step["op"] == "test" and place.get(last) != step["value"]:
            raise RefusedError(422, "Invalid", "the server rejected our request due to an error in our request", {})
        if step["op"] == "add" or (step["op"] == "replace" and last in place):
            place[last] = step["value"]
        # what is replaced and not there is no field that the server knows, and dropped
    return found


def merged(one, patch):
    for name, value in patch.items():
        if value is None:
            one.pop(name, None)
        elif isinstance(value, dict):
            one[name] = merged(one[name] if isinstance(one.get(name), dict) else {}, value)
        else:
            one[name] = value
    return one


def scale_of(workload):
    """The scale subresource of a workload: it has no annotations."""
    meta, spec = workload["metadata"], workload["spec"]
    labels = ",".join(f"{name}={value}" for name, value in sorted(spec["selector"]["matchLabels"].items()))
    kept = {name: meta[name] for name in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")}
    return {
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": kept, "spec": {"replicas": spec["replicas"]},
        "status": {"replicas": workload["status"].get("replicas", 0), "selector": labels},
    }  # fmt: skip


class Scales:
    """Patches of the scale subresource, on a store."""

    def __init__(self, store) -> None:
        self._store = store

    def patch(self, plural, before, patch, options):
        """The scale that a workload has after a patch, and the workload, stored unless it is a dry run."""
        old, name = scale_of(before), before["metadata"]["name"]
        kind, manager = options["kind"], options["manager"]
        new = merged(copy.deepcopy(old), patch) if kind == APPLY else patched(old, kind, patch)
        _decode(old, new, strict=options["strict"])
        if new["spec"]["replicas"] < 0:
            why = f"Invalid value: {new['spec']['replicas']}: must be greater than or equal to 0"
            raise invalid("Scale", "autoscaling", name, "spec.replicas", why)
        if new["metadata"].get("uid") != before["metadata"]["uid"]:
            given, real = new["metadata"]["uid"], before["metadata"]["uid"]
            why = f"Precondition failed: UID in precondition: {given}, UID in object meta: {real}"
            raise conflict(f"{plural}/scale", name, f"{plural}/scale.apps", why, "apps")
        after = copy.deepcopy(before)
        after["spec"]["replicas"] = new["spec"]["replicas"]
        after["metadata"]["resourceVersion"] = new["metadata"].get("resourceVersion", "")
        key = (plural, before["metadata"]["namespace"], name)
        if kind == APPLY and not options["force"]:
            _others(self._store.owners[key], old, new, manager)
        stored = self._store.write(plural, before, after, options["dry_run"])
        if not options["dry_run"] and stored["spec"] != before["spec"]:
            operation = "Apply" if kind == APPLY else "Update"
            self._store.owners[key] = (manager, operation, "scale", "autoscaling/v1")
        return scale_of(stored)


def _decode(old, new, strict):
    replicas = new["spec"].get("replicas", 0)
    field = "into Go struct field ScaleSpec.spec.replicas of type int32"
    if isinstance(replicas, str):
        raise undecodable(new, f"json: cannot unmarshal string {field}")
    if not -INT32 <= replicas < INT32:
        raise undecodable(new, f"json: cannot unmarshal number {replicas} {field}")
    unknown = new["spec"].keys() - old["spec"].keys()
    if unknown and strict:
        raise undecodable(new, f'strict decoding error: unknown field "spec.{min(unknown)}"')
    for name in unknown:
        del new["spec"][name]


def _others(owner, old, new, manager):
    """409 if another manager has set the number that an apply would change."""
    name, _, subresource, version = owner
    if name == manager or old["spec"] == new["spec"]:
        return
    where = f' with subresource "{subresource}"' if subresource else ""
    told = f'conflict with "{name}"{where} using {version}'
    causes = [{"reason": "FieldManagerConflict", "message": told, "field": ".spec.replicas"}]
    message = f"Apply failed with 1 conflict: {told}: .spec.replicas"
    raise RefusedError(409, "Conflict", message, {"causes": causes})
