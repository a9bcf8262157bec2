"""An API server in memory: enough of one for Helm's `lookup`, install, upgrade and rollback, and for nothing else.

It stores what it is given under the object's path, and lets every applied object take the place of the former one. Of
the fields of an object it knows the owners of one only, a Deployment's `replicas`, as server-side apply does.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from tests.deploy.rendering import NAMESPACE, Object

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
        self._owners: dict[str, set[str]] = {}
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

    def put(self, found: Object, namespace: str = NAMESPACE) -> None:
        """Stores an object as if it had been created."""
        self.objects[path_of(found, namespace)] = found

    def get(self, kind: str, name: str, namespace: str = NAMESPACE) -> Object:
        """Returns the stored object."""
        version = next(version for version, kinds in KINDS.items() if kind in kinds)
        return self.objects[path_of({"apiVersion": version, "kind": kind, "metadata": {"name": name}}, namespace)]

    def scale(self, deployment: str, replicas: int, namespace: str = NAMESPACE) -> None:
        """Does what ``kubectl scale`` does: the count is kubectl's from now on."""
        found = self.get("Deployment", deployment, namespace)
        found["spec"]["replicas"] = replicas
        self._owners[path_of(found, namespace)] = {"kubectl"}

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Object | None) -> tuple[int, Object]:
        """Returns status and content of the answer to a request."""
        if method == "GET":
            found = _discovery(path) or self.objects.get(path) or self._listed(path, query)
        elif method == "DELETE":
            found = self.objects.pop(path, None)
        elif method == "PATCH" and body is not None:
            return self._applied(path, body, query)
        else:
            found = None
        return (200, found) if found else _failure(404, "NotFound", f"{path} not found")

    def _applied(self, path: str, body: Object, query: dict[str, list[str]]) -> tuple[int, Object]:
        (manager,) = query["fieldManager"]
        if body["kind"] == "Deployment" and not self._take_replicas(path, body, manager, query["force"] == ["true"]):
            return _failure(409, "Conflict", 'conflict with "kubectl" with subresource "scale": .spec.replicas')
        self.objects[path] = body
        return 200, body

    def _take_replicas(self, path: str, body: Object, manager: str, force: bool) -> bool:
        """Settles who owns the count and what it is; returns whether ``manager`` may set it."""
        live = self.objects.get(path, {"spec": {}})["spec"].get("replicas")
        owners = self._owners.setdefault(path, set())
        if "replicas" not in body["spec"]:
            dropped = owners == {manager}
            owners.discard(manager)
            body["spec"]["replicas"] = 1 if live is None or dropped else live
            return True
        if owners - {manager} and body["spec"]["replicas"] != live:
            if not force:
                return False
            owners.clear()
        owners.add(manager)
        return True

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


def _failure(code: int, reason: str, message: str) -> tuple[int, Object]:
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure"}
    return code, {**status, "code": code, "reason": reason, "message": message}


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
            body = json.loads(sent) if sent.startswith(b"{") else None
            code, found = server.answer(self.command, target.path, parse_qs(target.query), body)
            data = json.dumps(found).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

        def log_message(self, *arguments: object) -> None:
            """Says nothing."""

    return Handler
