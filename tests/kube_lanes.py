"""Where the tests of Kubernetes run: on the stand-in, and on a real API server if one is named.

    HEADRACE_KUBE_API         its address, https://…; it needs RBAC and the controller manager, and no node
    HEADRACE_KUBE_API_TOKEN   a token that may do everything
    HEADRACE_KUBE_API_CA      file of its CA

The product has the rights of docker/kubernetes/rbac.yaml in both, and nothing else.
"""

import json
import os
import secrets
import ssl
from pathlib import Path

import httpx2
from ruamel.yaml import YAML

from tests.kube_asking import User
from tests.kube_stand_in import StandIn
from tests.processes import wait_for

RBAC = Path(__file__).parents[1] / "docker" / "kubernetes" / "rbac.yaml"
APPS, CORE = "/apis/apps/v1", "/api/v1"
NO_REAL = "HEADRACE_KUBE_API names no API server: only the stand-in was asked"
MERGE = {"Content-Type": "application/merge-patch+json"}


def roles():
    """Name → rules of the Roles that the product is given."""
    documents = YAML(typ="safe").load_all(RBAC.read_text("utf-8"))
    return {one["metadata"]["name"]: one["rules"] for one in documents if one["kind"] == "Role"}


class Lane:
    """A namespace of one's own in a cluster, as somebody who may do everything sees it."""

    def __init__(self, directory, url, token, ca=None) -> None:
        self.directory, self.url, self.ca = directory, url, ca
        self.namespace = f"headrace-{secrets.token_hex(4)}"
        verify = ssl.create_default_context(cafile=ca)
        headers = {"Authorization": f"Bearer {token}"}
        self.http = httpx2.Client(base_url=url, headers=headers, verify=verify, timeout=20)

    def ask(self, method, path, body=None, headers=None):
        answer = self.http.request(method, path, json=body, headers=headers)
        assert answer.is_success, answer.text
        return answer.json()

    def path(self, plural, name="", group=APPS):
        return f"{group}/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "")

    def get(self, name="web", plural="deployments"):
        return self.ask("GET", self.path(plural, name))

    def items(self, plural, group=APPS):
        return self.ask("GET", self.path(plural, group=group))["items"]

    def deploy(self, name="web", version="1", replicas=2, plural="deployments", **metadata):
        """Make a workload, or have it run another version."""
        path, template = self.path(plural), template_of(name, version)
        if any(one["metadata"]["name"] == name for one in self.items(plural)):
            self.ask("PATCH", f"{path}/{name}", {"spec": {"template": template}}, MERGE)
        else:
            spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
            if plural == "statefulsets":
                spec["serviceName"] = name
            kind = {"deployments": "Deployment", "statefulsets": "StatefulSet", "replicasets": "ReplicaSet"}[plural]
            one = {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}
            self.ask("POST", path, one)
        if plural == "deployments":
            wait_for(lambda: version in self.kept(name), 30, f"the ReplicaSet of version {version}")

    def kept(self, name="web"):
        """Versions of the ReplicaSets that there are of a Deployment, by the tags of their images."""
        uid = self.get(name)["metadata"]["uid"]
        mine = [one for one in self.items("replicasets") if owned(one, uid)]
        return sorted(one["spec"]["template"]["spec"]["containers"][0]["image"].rpartition(":")[2] for one in mine)

    def patch(self, body, name="web", plural="deployments"):
        return self.ask("PATCH", self.path(plural, name), body, MERGE)

    def set(self, replicas, name="web", plural="deployments"):
        """Somebody else scales."""
        return self.patch({"spec": {"replicas": replicas}}, name, plural)

    def replicas(self, name="web", plural="deployments"):
        return self.get(name, plural)["spec"]["replicas"]

    def counts(self, since, name="web", plural="deployments"):
        """The different counts that a workload has had since a version of it, in order, that one's first."""
        query = f"?watch=1&timeoutSeconds=1&resourceVersion={since['metadata']['resourceVersion']}"
        lines = self.http.get(self.path(plural) + query).text.splitlines()
        found = [since["spec"]["replicas"]]
        for event in map(json.loads, lines):
            one = event["object"]
            if one["metadata"].get("name") == name and one["spec"]["replicas"] != found[-1]:
                found.append(one["spec"]["replicas"])
        return found

    def kubeconfig(self, token, name="config"):
        """A file that leads here with a token in a file of its own."""
        file, secret = self.directory / name, self.directory / f"{name}.token"
        secret.write_text(token)
        cluster = {"server": self.url} | ({"certificate-authority": str(self.ca)} if self.ca else {})
        told = {
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": {"tokenFile": str(secret)}}],
            "contexts": [{"name": "test", "context": dict.fromkeys(("cluster", "user"), "test") | {
                "namespace": self.namespace}}],
        }  # fmt: skip
        file.write_text(json.dumps(told))
        return file

    def close(self):
        self.http.close()


class StandInLane(Lane):
    """On the stand-in, whose controllers act at once."""

    name = "stand-in"

    def __init__(self, directory, controllers=True) -> None:
        self.server = StandIn(controllers).start()
        super().__init__(directory, self.server.url, "admin")

    def granted(self, role):
        """The kubeconfig of somebody with the rights of a Role."""
        user = User(f"system:serviceaccount:{self.namespace}:{role}", roles().get(role, []), self.namespace)
        self.server.users[f"token-of-{role}"] = user
        return self.kubeconfig(f"token-of-{role}", role)

    def close(self):
        super().close()
        self.server.stop()


class RealLane(Lane):
    """On a real API server."""

    name = "real"

    def __init__(self, directory) -> None:
        ca = os.environ.get("HEADRACE_KUBE_API_CA")
        super().__init__(directory, os.environ["HEADRACE_KUBE_API"], os.environ["HEADRACE_KUBE_API_TOKEN"], ca)
        self.ask("POST", f"{CORE}/namespaces", {"metadata": {"name": self.namespace}})
        paths = {
            "ServiceAccount": f"{CORE}/namespaces/{self.namespace}/serviceaccounts",
            "Role": f"/apis/rbac.authorization.k8s.io/v1/namespaces/{self.namespace}/roles",
            "RoleBinding": f"/apis/rbac.authorization.k8s.io/v1/namespaces/{self.namespace}/rolebindings",
        }
        for one in YAML(typ="safe").load_all(RBAC.read_text("utf-8")):
            self.ask("POST", paths[one["kind"]], one)
        self.ask("POST", paths["ServiceAccount"], {"metadata": {"name": "nobody"}})

    def granted(self, role):
        name = role if role in roles() else "nobody"
        path = f"{CORE}/namespaces/{self.namespace}/serviceaccounts/{name}/token"
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        return self.kubeconfig(self.ask("POST", path, request)["status"]["token"], role)

    def close(self):
        self.ask("DELETE", f"{CORE}/namespaces/{self.namespace}")
        super().close()


def template_of(name, version):
    image = f"registry.example:5000/shop/{name}:{version}"
    requests = {"cpu": "250m", "memory": "64Mi"}
    container = {"name": "main", "image": image, "resources": {"requests": requests}}
    return {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}


def owned(one, uid):
    return any(owner["uid"] == uid for owner in one["metadata"].get("ownerReferences", ()))
