"""As much of an API server as a controller asks for: the scale of one Deployment, and events. And the two services."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from adql.config import ControllerSettings
from adql.wire import routes
from tests.ports import free_port

SCALE = "/apis/apps/v1/namespaces/rl/deployments/adql-learner/scale"
EVENTS = "/api/v1/namespaces/rl/events"
Tree = dict[str, Any]


class World:
    """A Deployment, a run and a table, each behind HTTP on one port; every learner that is asked for lives at once."""

    def __init__(self, replicas: int = 1) -> None:
        self.replicas, self.resource_version = replicas, 1
        self.events: list[Tree] = []
        self.forbidden: set[str] = set()
        self.deployed = True
        self.status, self.staleness_bound, self.services_answer = "running", 8, True
        self.applied = self.stale = 0
        self.between_read_and_write: int | None = None
        """Somebody scales to this, once, before the controller writes."""
        self.lose_answer = False
        """The next write is done, and answered as if it were not."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.port = self._server.server_port

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def scale(self, replicas: int) -> None:
        """Does what ``kubectl scale`` does."""
        self.replicas = replicas
        self.resource_version += 1

    def answer(self, method: str, path: str, body: Tree) -> tuple[int, Any]:
        """Returns status and content."""
        if f"{method} {path}" in self.forbidden:
            return 403, {"message": f'User "sa" cannot {method.lower()} {path}'}
        if path == SCALE and self.deployed:
            return self._get_scale() if method == "GET" else self._put_scale(body)
        if (method, path) == ("POST", EVENTS):
            self.events.append(body)
            return 201, body
        if path == routes.RUN and self.services_answer:
            return 200, self._run()
        if path == routes.TABLE and self.services_answer:
            return 200, {"error": 0.0, "bound": 100.0}
        missing = 503 if path.startswith("/v1/") else 404
        return missing, {"message": f"{path} is not there", "kind": "unavailable", "detail": "not now"}

    def _get_scale(self) -> tuple[int, Tree]:
        metadata = {
            "name": "adql-learner",
            "namespace": "rl",
            "uid": "u-1",
            "resourceVersion": str(self.resource_version),
        }
        spec = {"replicas": self.replicas} if self.replicas else {}  # as Kubernetes leaves a 0 out
        return 200, {"kind": "Scale", "metadata": metadata, "spec": spec}

    def _put_scale(self, body: Tree) -> tuple[int, Tree]:
        if self.between_read_and_write is not None:
            self.scale(self.between_read_and_write)
            self.between_read_and_write = None
        if body["metadata"]["resourceVersion"] != str(self.resource_version):
            return 409, {"message": "the object has been modified"}
        self.scale(int(body["spec"]["replicas"]))
        if self.lose_answer:
            self.lose_answer = False
            return 500, {"message": "etcdserver: request timed out"}
        return 200, body

    def _run(self) -> Tree:
        state = {"run_id": "r", "epoch": 1, "status": self.status, "version": self.applied}
        return {
            "state": state,
            "updates": {"applied": self.applied, "stale": self.stale, "invalid": 0},
            "sessions": [{"role": "both", "slot": slot} for slot in range(self.replicas)],
            "staleness_counts": {"1": self.applied},
            "staleness_bound": self.staleness_bound,
        }

    def settings(self, **changes: Any) -> ControllerSettings:
        """Returns settings that lead here."""
        address = {"parameter_server_url": self.address, "replay_url": self.address, "namespace": "rl"}
        side = f"http://127.0.0.1:{free_port()}"
        return ControllerSettings(auth=False, side=side, **{**address, **changes})

    def kubeconfig(self) -> str:
        """Returns a kubeconfig that leads here."""
        return json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "double", "cluster": {"server": self.address}}],
                "users": [{"name": "double", "user": {}}],
                "contexts": [{"name": "double", "context": {"cluster": "double", "user": "double"}}],
                "current-context": "double",
            }
        )

    @contextmanager
    def served(self) -> Iterator["World"]:
        """Answers while it is entered."""
        thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


def _handler(world: World) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
            status, content = world.answer(self.command, self.path.partition("?")[0], body)
            text = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json" if status < 400 else "application/problem+json")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_PUT = do_POST = _answer

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

    return Handler
