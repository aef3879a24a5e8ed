"""A small stand-in for a Kubernetes API server, for tests: HTTP, rights, watches, and faults on request.

It serves Deployments, StatefulSets, ReplicaSets, Pods and the scale subresource. Its answers are compared with
those of a real server, request by request, in tests/integration/test_kube_stand_in.py; the tests of the product run
on both. What it does not know it answers with 501, so that no test takes it for the real one.
"""

import base64
import json
import re
import socket
import threading
from collections import deque
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from tests.kube_asking import User, allow, continued, selector
from tests.kube_patches import APPLY, JSON, MERGE, Scales, merged, patched, scale_of
from tests.kube_store import KINDS, RefusedError, Store, conflict, details, qualified

PATH = re.compile(
    r"/(?:api/v1|apis/(?P<group>apps)/v1)(?:/namespaces/(?P<namespace>[^/]+))?/(?P<plural>[a-z]+)"
    r"(?:/(?P<name>[^/]+)(?:/(?P<sub>scale|status))?)?"
)
VERSION = {
    "major": "1", "minor": "37", "emulationMajor": "1", "emulationMinor": "37", "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "36", "gitVersion": "v1.37.2", "gitCommit": "$Format:%H$", "gitTreeState": "",
    "buildDate": "1970-01-01T00:00:00Z", "goVersion": "go1.26.8", "compiler": "gc", "platform": "linux/amd64",
}  # fmt: skip
BOOKMARK_S = 0.5
POD = {"metadata": {}, "spec": {"containers": None}}
BLANK = {
    "deployments": {"spec": {"replicas": 0, "selector": None, "template": POD, "strategy": {}}},
    "statefulsets": {"spec": {"selector": None, "template": POD, "serviceName": "", "updateStrategy": {}}},
    "pods": {"spec": POD["spec"]},
}
"""A bookmark is an object of its kind with nothing in it but a version: what must be there is null."""


class Call(NamedTuple):
    """A request: its verb and resource in the words of rights."""

    verb: str
    resource: str
    user: str
    path: str


class StandIn:
    """The server, from `start` to `stop`; both may come again, and what is stored stays."""

    def __init__(self, controllers=False) -> None:
        self.store = Store(controllers)
        self.users = {"admin": User("kubernetes-admin")}
        self.calls: deque[Call] = deque()
        self.before, self.after = [], []
        self._server, self._port, self._turn = None, 0, threading.Lock()
        self.connections, self.stopping = set(), threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._port}"

    def start(self):
        with self._turn:
            self.stopping.clear()
            self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
            self._server.daemon_threads, self._server.block_on_close, self._server.stand_in = True, False, self
            self._port = self._server.server_address[1]
            threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self):
        """As if it was killed: nobody listens, and connections end in the middle."""
        with self._turn:
            if self._server is None:
                return
            self.stopping.set()
            self._server.shutdown()
            self._server.server_close()
            self.break_watches()
            self._server = None

    def once(self, method, pattern, act, times=1, after=False):
        """Have `act(handler)` run at the next requests of a kind; before it, what it answers with True is all."""
        (self.after if after else self.before).extend([(method, re.compile(pattern), act)] * times)

    def break_watches(self):
        """Cut every connection."""
        for connection in list(self.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def counts(self, plural, name):
        """Every count of replicas that a workload has had, in order."""
        found = [one["spec"]["replicas"] for _, _, kind, one, _ in self.store.events if kind == plural
                 and one["metadata"]["name"] == name]  # fmt: skip
        return [count for number, count in enumerate(found) if number == 0 or count != found[number - 1]]


def answers(status, body=b"", **headers):
    """An act that answers with these bytes."""

    def act(handler):
        handler.raw(status, body, {name.replace("_", "-"): value for name, value in headers.items()})
        return True

    return act


def hangs(handler):
    """An act that never answers."""
    handler.server.stand_in.stopping.wait(30)
    handler.close_connection = True
    return True


def cuts(handler):
    """An act that ends the connection instead of answering."""
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True
    return True


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self):
        super().setup()
        self.server.stand_in.connections.add(self.connection)

    def finish(self):
        self.server.stand_in.connections.discard(self.connection)
        with suppress(OSError):
            super().finish()

    def log_message(self, *args):
        pass

    def _serve(self):
        self.mine, parts = self.server.stand_in, urlsplit(self.path)
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.query = dict(parse_qsl(parts.query))
        if self.mine.stopping.is_set():
            self.close_connection = True
            return
        if self._acted(self.mine.before):
            return
        try:
            self._answer(parts.path)
        except RefusedError as why:
            status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": str(why)}
            told = {} if why.details is None else {"details": why.details}
            self.json(why.status, status | {"reason": why.reason, **told, "code": why.status})
        except OSError:
            self.close_connection = True
        self._acted(self.mine.after)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - the names of http.server

    def _acted(self, acts):
        for one in list(acts):
            method, pattern, act = one
            if method == self.command and pattern.search(self.path):
                acts.remove(one)
                return act(self)
        return False

    def _answer(self, path):
        user = self.mine.users.get((self.headers.get("Authorization") or "").removeprefix("Bearer "))
        if user is None:
            raise RefusedError(401, "Unauthorized", "Unauthorized")
        if path == "/version":
            self.json(200, VERSION)
            return
        found = PATH.fullmatch(path)
        if found is None or KINDS.get(found["plural"], ("?",))[0] != (found["group"] or ""):
            self.raw(404, b"404 page not found\n", {"Content-Type": "text/plain; charset=utf-8"})
            return
        place = found.groupdict()
        verb = self._verb(place)
        self.mine.calls.append(
            Call(verb, "/".join(filter(None, (place["plural"], place["sub"]))), user.name, self.path)
        )
        allow(user, verb, place)
        if verb == "watch":
            self._watch(place)
            return
        do = {
            "get": self._get,
            "list": self._list,
            "create": self._create,
            "patch": self._patch,
            "delete": self._delete,
        }
        if verb not in do:
            raise RefusedError(501, "NotImplemented", f"the stand-in does not know {verb}")
        with self.mine.store.lock:
            status, body = do[verb](place)
        self.json(status, body)

    def _verb(self, place):
        if self.command == "GET" and place["name"] is None:
            return "watch" if self.query.get("watch") in {"1", "true"} else "list"
        return {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}[self.command]

    def _get(self, place):
        one = self.mine.store.get(place["plural"], place["namespace"], place["name"])
        return 200, scale_of(one) if place["sub"] == "scale" else one

    def _list(self, place):
        store, plural = self.mine.store, place["plural"]
        wanted = selector(self.query.get("labelSelector", ""))
        found = [one for one in store.all_of(plural, place["namespace"]) if wanted(one)]
        begin, version = continued(self.query["continue"]) if "continue" in self.query else (0, str(store.version))
        limit, meta = int(self.query.get("limit") or 0), {"resourceVersion": version}
        if limit and begin + limit < len(found):
            left = json.dumps({"v": "meta.k8s.io/v1", "rv": version, "start": begin + limit}).encode()
            meta["continue"] = base64.urlsafe_b64encode(left).decode().rstrip("=")
        group, kind = KINDS[plural]
        items = found[begin : begin + limit] if limit else found[begin:]
        for one in items:  # those of a list do not say what they are
            one.pop("kind", None)
            one.pop("apiVersion", None)
        api = f"{group}/v1" if group else "v1"
        return 200, {"kind": f"{kind}List", "apiVersion": api, "metadata": meta, "items": items}

    def _create(self, place):
        given = json.loads(self.body)
        group, kind = KINDS[place["plural"]]
        given |= {"apiVersion": f"{group}/v1" if group else "v1", "kind": kind}
        return 201, self.mine.store.create(place["plural"], place["namespace"], given, self._manager())

    def _delete(self, place):
        gone = self.mine.store.delete(place["plural"], place["namespace"], place["name"])
        told = details(place["plural"], place["name"]) | {"uid": gone["metadata"]["uid"]}
        return 200, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": told}

    def _patch(self, place):
        kind = (self.headers.get("Content-Type") or "").partition(";")[0]
        if kind not in {MERGE, JSON, APPLY}:
            if kind == "application/strategic-merge-patch+json":
                raise RefusedError(501, "NotImplemented", "the stand-in knows no strategic merge")
            raise RefusedError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})
        store, plural = self.mine.store, place["plural"]
        before, patch = store.get(plural, place["namespace"], place["name"]), json.loads(self.body)
        if place["sub"] == "scale":
            options = {
                "kind": kind, "manager": self._manager(), "force": self.query.get("force") == "true",
                "dry_run": self.query.get("dryRun") == "All", "strict": self.query.get("fieldValidation") == "Strict",
            }  # fmt: skip
            return 200, Scales(store).patch(plural, before, patch, options)
        if kind == APPLY:
            raise RefusedError(501, "NotImplemented", "the stand-in applies scales only")
        if place["sub"] == "status":
            return 200, store.write(plural, before, merged(json.loads(json.dumps(before)), {"status": patch["status"]}))
        after = patched(before, kind, patch)
        if after["metadata"].get("uid") != before["metadata"]["uid"]:
            raise conflict(plural, place["name"], qualified(plural), "Precondition failed")
        after["status"] = before["status"]
        return 200, store.write(plural, before, after, self.query.get("dryRun") == "All")

    def _manager(self):
        agent = (self.headers.get("User-Agent") or "unknown").partition("/")[0]
        return self.query.get("fieldManager") or agent

    def _watch(self, place):
        """Events from a version on, as they come, until the time is over; the first may be that it is too old."""
        store, ends = self.mine.store, monotonic() + float(self.query.get("timeoutSeconds") or 1800)
        wanted, at = selector(self.query.get("labelSelector", "")), self.query.get("resourceVersion", "")
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with store.lock:
            version = int(at) if at not in {"", "0"} else store.version
            first = [] if at not in {"", "0"} else store.all_of(place["plural"], place["namespace"])
        if version < store.oldest:
            message = f"too old resource version: {version} ({store.oldest})"
            told = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message}
            self._event("ERROR", told | {"reason": "Expired", "code": 410})
            ends = 0
        for one in filter(wanted, first):
            self._event("ADDED", one)
        bookmarks = self.query.get("allowWatchBookmarks") in {"1", "true"}
        self._events(place, (version, ends, bookmarks), wanted)
        self.wfile.write(b"0\r\n\r\n")

    def _events(self, place, where, wanted):
        version, ends, bookmarks = where
        store, marked, began = self.mine.store, monotonic(), version
        while (left := ends - monotonic()) > 0 and not self.mine.stopping.is_set():
            with store.lock:
                store.lock.wait_for(lambda: store.version > version, min(left, BOOKMARK_S))  # noqa: B023 - asked at once
                news = [one for one in store.events if one[0] > version]
                version = store.version
            for _, event, plural, one, before in news:
                if plural == place["plural"] and place["namespace"] in {None, one["metadata"]["namespace"]}:
                    self._told(event, one, before, wanted)
            if (
                bookmarks
                and version > began
                and (monotonic() - marked >= BOOKMARK_S or ends - monotonic() <= BOOKMARK_S)
            ):
                marked = monotonic()
                group, kind = KINDS[place["plural"]]
                blank = BLANK.get(place["plural"], {})
                head = {"kind": kind, "apiVersion": f"{group}/v1" if group else "v1"}
                self._event("BOOKMARK", head | {"metadata": {"resourceVersion": str(version)}, **blank, "status": {}})

    def _told(self, event, one, before, wanted):
        """An object that begins to have the labels is added to whoever asks for them, and one that ends is deleted."""
        was = before is not None and wanted(before)
        if event == "MODIFIED" and was != wanted(one):
            event = "DELETED" if was else "ADDED"
        if was or wanted(one):
            self._event(event, one)

    def _event(self, event, one):
        line = json.dumps({"type": event, "object": one}, separators=(",", ":")).encode() + b"\n"
        self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
        self.wfile.flush()

    def json(self, status, body):
        self.raw(status, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def raw(self, status, body, headers):
        with suppress(OSError):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
