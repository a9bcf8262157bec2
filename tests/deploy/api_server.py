"""An API server in memory: enough of one for Helm's `lookup`, install, upgrade and rollback, and of nothing else.

It stores what it is given under the object's path, and lets every applied object take the place of the former one.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

Object = dict[str, Any]

KINDS = {
    "v1": ("ConfigMap", "Secret", "Service", "ServiceAccount", "Pod", "PersistentVolumeClaim", "Namespace"),
    "apps/v1": ("Deployment", "StatefulSet"),
    "policy/v1": ("PodDisruptionBudget",),
    "networking.k8s.io/v1": ("NetworkPolicy",),
    "rbac.authorization.k8s.io/v1": ("Role", "RoleBinding"),
    "storage.k8s.io/v1": ("StorageClass",),
    "monitoring.coreos.com/v1": ("ServiceMonitor", "PodMonitor", "PrometheusRule"),
    "keda.sh/v1alpha1": ("ScaledObject",),
}
CLUSTER_WIDE = ("Namespace", "StorageClass")


def plural(kind: str) -> str:
    """Returns the name of ``kind`` in paths."""
    lower = kind.lower()
    return f"{lower[:-1]}ies" if lower.endswith("y") else f"{lower}es" if lower.endswith("s") else f"{lower}s"


class ApiServer:
    """Objects by path, behind HTTP; ``kubeconfig`` leads to it."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def kubeconfig(self) -> str:
        """A configuration whose only context is this server."""
        address = f"http://127.0.0.1:{self._server.server_port}"
        return json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "memory", "cluster": {"server": address}}],
                "users": [{"name": "memory", "user": {}}],
                "contexts": [{"name": "memory", "context": {"cluster": "memory", "user": "memory"}}],
                "current-context": "memory",
            }
        )

    def close(self) -> None:
        """Ends the server."""
        self._server.shutdown()
        self._server.server_close()

    def put(self, found: Object, namespace: str = "default") -> None:
        """Stores an object as if it had been created."""
        self.objects[path_of(found, namespace)] = found

    def get(self, kind: str, name: str, namespace: str = "default") -> Object:
        """Returns the stored object."""
        version = next(version for version, kinds in KINDS.items() if kind in kinds)
        return self.objects[path_of({"apiVersion": version, "kind": kind, "metadata": {"name": name}}, namespace)]

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Object | None) -> Object | None:
        """Returns the answer to a request, None where nothing is found."""
        if method == "GET":
            return _discovery(path) or self.objects.get(path) or self._listed(path, query)
        if method == "DELETE":
            return self.objects.pop(path, None)
        if body is None or (method == "PATCH" and path not in self.objects and "fieldManager" not in query):
            return None
        named = path if method in ("PUT", "PATCH") else f"{path}/{body['metadata']['name']}"
        self.objects[named] = body
        return body

    def _listed(self, path: str, query: dict[str, list[str]]) -> Object | None:
        root, _, resource = path.rpartition("/")
        version = root.removeprefix("/apis/").removeprefix("/api/").partition("/namespaces/")[0]
        kind = next((kind for kind in KINDS.get(version, ()) if plural(kind) == resource), None)
        if kind is None:
            return None
        wanted = dict(pair.split("=") for pair in query.get("labelSelector", [""])[0].split(",") if pair)
        items = [one for key, one in self.objects.items() if key.startswith(f"{path}/") and _has(one, wanted)]
        return {"apiVersion": version, "kind": f"{kind}List", "metadata": {}, "items": items}


def path_of(found: Object, namespace: str) -> str:
    """Returns the path of an object."""
    version, kind = found["apiVersion"], found["kind"]
    root = f"/api/{version}" if "/" not in version else f"/apis/{version}"
    space = "" if kind in CLUSTER_WIDE else f"/namespaces/{found['metadata'].get('namespace', namespace)}"
    return f"{root}{space}/{plural(kind)}/{found['metadata']['name']}"


@contextmanager
def serving() -> Iterator[ApiServer]:
    """A server that ends with the block."""
    server = ApiServer()
    try:
        yield server
    finally:
        server.close()


def _has(found: Object, labels: dict[str, str]) -> bool:
    return labels.items() <= found["metadata"].get("labels", {}).items()


def _discovery(path: str) -> Object | None:
    if path == "/version":
        return {"major": "1", "minor": "34", "gitVersion": "v1.34.0"}
    if path == "/openapi/v3":
        roots = {version: f"{'apis' if '/' in version else 'api'}/{version}" for version in KINDS}
        return {"paths": {root: {"serverRelativeURL": f"/openapi/v3/{version}"} for version, root in roots.items()}}
    if path.startswith("/openapi/v3/"):
        return _checks_fields(path.removeprefix("/openapi/v3/"))
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        versions = [version for version in KINDS if "/" in version]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(version) for version in versions]}
    version = path.removeprefix("/apis/").removeprefix("/api/")
    if version not in KINDS:
        return None
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": version,
        "resources": [
            {
                "name": plural(kind),
                "singularName": kind.lower(),
                "kind": kind,
                "namespaced": kind not in CLUSTER_WIDE,
                "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"],
            }
            for kind in KINDS[version]
        ],
    }


def _checks_fields(version: str) -> Object:
    """Returns what makes Helm leave the checking of fields to this server, which checks none."""
    group, _, name = version.rpartition("/")
    operations = {
        f"/{kind}": {
            "patch": {
                "x-kubernetes-group-version-kind": {"group": group, "version": name, "kind": kind},
                "parameters": [{"name": "fieldValidation", "in": "query"}],
                "responses": {},
            }
        }
        for kind in KINDS[version]
    }
    return {"openapi": "3.0.0", "info": {"title": version, "version": name}, "paths": operations}


def _group(version: str) -> Object:
    entry = {"groupVersion": version, "version": version.split("/")[1]}
    return {"name": version.split("/")[0], "versions": [entry], "preferredVersion": entry}


def _handler(server: ApiServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet

        def answer(self) -> None:
            target = urlsplit(self.path)
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = yaml.safe_load(sent) if sent else None
            found = server.answer(self.command, target.path, parse_qs(target.query), body)
            missing = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
            data = json.dumps(found or missing).encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

        def log_message(self, *arguments: object) -> None:
            """Says nothing."""

    return Handler
