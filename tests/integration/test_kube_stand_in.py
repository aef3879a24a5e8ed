"""The stand-in for a Kubernetes API beside a real one: each recorded request again, and the answers compared.

Not compared, since it is another machine and another moment: uids, times, who manages which field, the counts and
conditions that controllers write into a status, and resource versions as numbers. Which of those are equal is.
"""

import http.client
import json
import re
from itertools import zip_longest
from pathlib import Path

import pytest

from tests.kube_asking import User
from tests.kube_stand_in import StandIn

DATA = Path(__file__).parents[1] / "data"
RECORDED = [
    call
    for name in ("kubernetes_recorded", "kubernetes_recorded_more")
    for call in json.loads((DATA / f"{name}.json").read_text("utf-8"))["calls"]
]
SCALER = [{"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["get", "patch"]}]
LEFT_OUT = {"uid", "creationTimestamp", "managedFields", "status", "deployment.kubernetes.io/revision"}
MOVES = {"get scale", "get deployment"}
"""Before these the real controllers had written a status."""


class Beside:
    """Recorded resource versions and ours, each with the other that it was first seen with."""

    def __init__(self) -> None:
        self.ours, self.theirs = {}, {}

    def note(self, recorded, our):
        self.ours.setdefault(recorded, our)
        self.theirs.setdefault(our, recorded)


def plain(thing):
    """What is compared of an answer: a null or an empty map in metadata says nothing."""
    if isinstance(thing, dict):
        left = LEFT_OUT if "metadata" in thing or "name" in thing or "resourceVersion" in thing else set()
        if thing.get("kind") == "Status":
            left = left - {"status"}
        kept = {name: plain(value) for name, value in thing.items() if name not in left | {"resourceVersion"}}
        if kept.get("annotations") == {} or "deployment.kubernetes.io/revision" in thing.get("annotations", {}):
            kept.pop("annotations")
        return kept
    if isinstance(thing, list):
        return [plain(one) for one in thing]
    if isinstance(thing, str):  # the object that a message repeats, the uid in another
        thing = re.sub(r'"\{\\".*\}"', "OBJECT", thing)
        thing = re.sub(r"in object meta: \S+", "in object meta: UID", thing)
        return re.sub(r"too old resource version: 1 \(\d+\)", "too old resource version: 1", thing)
    return thing


@pytest.fixture(scope="module")
def replayed():
    """Every recorded call with what the stand-in answers, asked in the recorded order."""
    server, versions = StandIn(), Beside()
    server.users |= {"scaler": User("system:serviceaccount:rec:scaler", SCALER, "rec")}
    server.start()
    found = {call["name"]: answered(server, call, versions) for call in RECORDED}
    server.stop()
    return found


def answered(server, call, versions):
    """The stand-in's status, content type and events, and those recorded; a plain answer is one event."""
    if call["name"] in MOVES:
        moved(server)
    response, recorded = asked(server, call, versions.ours).getresponse(), call["response"]
    if "stream" in recorded:
        if call["name"] == "watch deployments":  # meanwhile somebody else scales to 8 and deletes it
            changed(server)
        ours, theirs = distinct(map(json.loads, response.read().splitlines())), distinct(recorded["stream"])
    else:
        ours, theirs = [json.loads(response.read())], [recorded["body"]]
    pairs = list(zip_longest(versions_in(theirs), versions_in(ours)))
    for pair in pairs:
        versions.note(*pair)
    kind = recorded.get("headers", response.headers)["Content-Type"]
    head = (response.status, response.headers["Content-Type"]), (recorded["status"], kind)
    return *head, ours, theirs, pairs, versions


def distinct(events):
    """Without repeats: how often a bookmark comes is the server's choice."""
    found = []
    for one in events:
        if one not in found:
            found.append(one)
    return found


def asked(server, call, versions):
    """The answer to a recorded request: status, content type, and its JSON, or that of each line."""
    request, token = call["request"], {"nobody": "wrong"}.get(call["as"], call["as"])
    body = request.get("body")
    text = None if body is None else json.dumps(body)
    for recorded, ours in versions.items():
        text = text and text.replace(f': "{recorded}"', f': "{ours}"')
    headers = {"Authorization": f"Bearer {token}", "User-Agent": "headrace-recorder/1"}
    if request.get("contentType"):
        headers["Content-Type"] = request["contentType"]
    path = re.sub(r"resourceVersion=(\d{2,})", lambda found: f"resourceVersion={versions[found[1]]}", request["path"])
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=10)
    connection.request(request["method"], path.replace("timeoutSeconds=6", "timeoutSeconds=1"), text, headers)
    return connection


def moved(server):
    """Controllers write into a status at moments of their own; the version moves."""
    with server.store.lock:
        before = server.store.get("deployments", "rec", "w")
        after = json.loads(json.dumps(before))
        after["status"]["observedGeneration"] = after["status"].get("observedGeneration", 0) + 1
        server.store.write("deployments", before, after)


def versions_in(thing):
    if isinstance(thing, dict):
        for name, value in thing.items():
            if name == "resourceVersion":
                yield value
            yield from versions_in(value)
    elif isinstance(thing, list):
        for one in thing:
            yield from versions_in(one)


def changed(server):
    with server.store.lock:
        before = server.store.get("deployments", "rec", "w")
        after = json.loads(json.dumps(before))
        after["spec"]["replicas"] = 8
        server.store.write("deployments", before, after)
        server.store.delete("deployments", "rec", "w")


@pytest.mark.parametrize("name", [call["name"] for call in RECORDED])
def test_the_stand_in_answers_as_the_real_server_did(replayed, name):
    head, recorded_head, ours, theirs, pairs, versions = replayed[name]
    assert head == recorded_head
    assert plain(ours) == plain(theirs)
    for recorded, our in pairs:
        assert (versions.ours[recorded], versions.theirs[our]) == (our, recorded)
