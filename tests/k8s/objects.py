"""Objects of a release as the Kubernetes API shows them, and a cluster that holds them."""

import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import msgspec
from websocket import WebSocketTimeoutException

from adql.errors import AdqlError, ConflictError, NotFoundError
from adql_services.cluster.api import Forwarded
from adql_services.cluster.execution import RESULT, STDERR, STDOUT, Execution
from adql_services.cluster.release import name_of

Tree = dict[str, Any]
READY = {"ready": True, "restartCount": 0, "state": {"running": {}}}
FRAME_BYTES = 1_000


def labels(component: str) -> Tree:
    return {"app.kubernetes.io/instance": "adql", "app.kubernetes.io/component": component}


def workload(component: str, replicas: int = 1, **status: Any) -> Tree:
    container = {"name": component, "image": f"adql/{component}:0.1.0"}
    return {
        "metadata": {"name": f"adql-{component}", "namespace": "default", "labels": labels(component)},
        "spec": {"replicas": replicas, "template": {"spec": {"containers": [container]}}},
        "status": {"readyReplicas": replicas, **status},
    }


def pod(component: str, container: Tree | None = READY, name: str | None = None, **status: Any) -> Tree:
    """One whose container has this status, none before it was scheduled."""
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": f"data-adql-{component}-0"}}]
    return {
        "metadata": {"name": name or f"adql-{component}-0", "labels": labels(component)},
        "spec": {"containers": [{"name": component, "image": f"adql/{component}:0.1.0"}], "volumes": volumes},
        "status": {**({"containerStatuses": [container]} if container else {}), **status},
    }


def waiting(reason: str, message: str = "", restarts: int = 0, **last: Any) -> Tree:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"ready": False, "restartCount": restarts, "state": state, "lastState": last}


def claim(component: str, storage_class: str | None, phase: str = "Pending") -> Tree:
    return {
        "metadata": {"name": f"data-adql-{component}-0", "labels": labels(component)},
        "spec": {"storageClassName": storage_class} if storage_class else {},
        "status": {"phase": phase},
    }


def event(about: str, reason: str, message: str, at: str = "2026-01-01T00:00:00Z") -> Tree:
    return {"involvedObject": {"name": about}, "reason": reason, "message": message, "lastTimestamp": at}


def room(free: float = 0.5, trouble: str = "") -> Tree:
    """What ``adql pod room`` prints."""
    return {"bytes": 1_000_000, "free_bytes": int(1_000_000 * free), "trouble": trouble}


def run_status(status: str = "running") -> Tree:
    """What ``adql pod status`` prints."""
    state = {
        "status": status, "learners": 2, "epoch": 1, "version": 250, "durable_epoch": 1, "durable_version": 248,
        "environment_steps": 8_000, "learner_steps": 2_000, "run_id": "r",
    }  # fmt: skip
    task = {"purpose": "periodic", "episodes": 20, "learner_steps": 1_000, "environment_steps": 4_000, "seed": 7}
    result = {
        "mean": 120.5, "median": 120.0, "interquartile_mean": 120.0, "total": 2_410.0, "deviation": 1.0,
        "lowest": 100.0, "highest": 130.0, "mean_length": 120.0, "success_rate": 0.0, "seconds": 1.0, "task": task,
    }  # fmt: skip
    evaluations = {
        "waiting": 0, "scheduled_learner_steps": 1_000, "reported": 1, "last": result, "best": result,
        "reached": None, "plateau": {"evaluations": 0},
    }  # fmt: skip
    run = {
        "name": "adql", "goal": 475.0, "state": state, "evaluations": evaluations, "wall_seconds": 12.5,
        "activity_seconds": {"learner-0": {"push": 1.0}}, "updates": {"applied": 250}, "updates_by_slot": {"0": 250},
        "environment_steps_by_slot": {"0": 8_000}, "sessions": [], "staleness": None, "staleness_counts": {},
    }  # fmt: skip
    return {"run": run, "evaluations": [result]}


class Frames:
    """A WebSocket that sends these frames, a ping before the first of them, and then hangs up, unless it stays open."""

    def __init__(self, frames: list[bytes], *, politely: bool = True, leaves: bool = True) -> None:
        self._frames, self._politely, self._leaves = iter(frames), politely, leaves
        self.closed, self._pinged = False, False
        self._timeout = self.waited_seconds = 0.0

    def recv_data_frame(self, control_frame: bool) -> tuple[int, Any]:
        if control_frame and not self._pinged:
            self._pinged = True
            return 9, SimpleNamespace(data=bytes([STDOUT]) + b"still there?")
        found = next(self._frames, None)
        if found is None:
            if not self._leaves:
                self.waited_seconds += self._timeout
                raise WebSocketTimeoutException("timed out")
            if not self._politely:
                raise ConnectionResetError("gone")
            return 8, SimpleNamespace(data=b"")
        return 2, SimpleNamespace(data=found)

    def settimeout(self, timeout: float) -> None:
        assert timeout > 0.0
        self._timeout = timeout

    def close(self) -> None:
        self.closed = True


def frames_of(channel: int, content: bytes) -> list[bytes]:
    pieces = range(0, len(content), FRAME_BYTES)
    return [bytes([channel]) + content[start : start + FRAME_BYTES] for start in pieces]


def ended(code: int = 0) -> bytes:
    """The frame that says how a command has ended."""
    causes = {"causes": [{"reason": "ExitCode", "message": str(code)}]}
    failure = {"status": "Failure", "reason": "NonZeroExitCode", "message": "command terminated", "details": causes}
    return bytes([RESULT]) + msgspec.json.encode(failure if code else {"status": "Success"})


def executed(stdout: bytes, stderr: bytes = b"", code: int = 0) -> Execution:
    return Execution(Frames([*frames_of(STDOUT, stdout), *frames_of(STDERR, stderr), ended(code)]))


class ClusterDouble:
    """Holds objects by kind; ``answers`` has what a command in the parameter server's container writes."""

    context, namespace = "kind", "default"

    def __init__(self, **kinds: list[Tree]) -> None:
        self.kinds, self.answers, self.logs = kinds, {}, {}
        self.elsewhere: list[Tree] = []
        self.classes: list[Tree] | None = []
        self.scaled: dict[str, int] = {}
        self.refused: dict[str, AdqlError] = {}
        """Kinds of objects that it does not tell of, and why."""
        self.removed: list[str] = []
        self.ends: Tree = {}
        """How the container of a pod that is started ends, by the name of the pod."""
        self.refusal = ""
        """Why ports of its pods cannot be reached."""

    def objects(self, kind: str, selector: str = "") -> list[Tree]:
        if kind in self.refused:
            raise self.refused[kind]
        wanted = dict(part.split("=") for part in selector.split(",") if "=" in part)
        found = self.kinds.get(kind, [])
        return (
            [one for one in found if wanted.items() <= one["metadata"].get("labels", {}).items()] if wanted else found
        )

    def everywhere(self, selector: str) -> list[Tree]:
        return self.elsewhere

    def storage_classes(self) -> list[Tree] | None:
        return self.classes

    def log(self, name: str, container: str, *, lines: int | None = None, previous: bool = False) -> str:
        if (name, previous) not in self.logs:
            raise NotFoundError("no log")
        return self.logs[name, previous]

    def follow(self, name: str, container: str, lines: int | None = None) -> Iterator[str]:
        yield from self.log(name, container).splitlines()

    def start(self, pod: Tree) -> None:
        if any(name == pod["metadata"]["name"] for name in map(name_of, self.kinds["pods"])):
            raise ConflictError("already exists")
        self.kinds["pods"].append({**pod, "status": self.ends})

    def pod(self, name: str) -> Tree:
        found = next((one for one in self.kinds["pods"] if name_of(one) == name), None)
        if found is None:
            raise NotFoundError(f"no pod {name}")
        return found

    def remove(self, pod: str) -> None:
        self.removed.append(pod)
        self.kinds["pods"] = [one for one in self.kinds["pods"] if name_of(one) != pod]

    def scale(self, deployment: str, replicas: int) -> None:
        self.scaled[deployment] = replicas

    def forward(self, name: str, port: int) -> Forwarded:
        """Leads to a pod that says its name and the port, and then hangs up."""
        here, there = socket.socketpair()
        with there:
            there.sendall(f"{name}:{port}".encode())
            there.shutdown(socket.SHUT_WR)
        return Forwarded(here, lambda: self.refusal)

    def execute(self, name: str, container: str, command: list[str]) -> Execution:
        assert (name, command[:2]) == (f"adql-{container}-0", ["adql", "pod"])
        return self.answers[f"{container} room" if command[2] == "room" else command[2]]()


def healthy(learners: int = 2, **more: Any) -> ClusterDouble:
    """A release with nothing wrong."""
    stateful = ["parameter-server", "replay", "valkey"]
    pods = [pod(one) for one in [*stateful, "evaluator"]]
    pods += [pod("learner", name=f"adql-learner-{number}") for number in range(learners)]
    cluster = ClusterDouble(
        statefulsets=[workload(one) for one in stateful],
        deployments=[workload("learner", learners), workload("evaluator")],
        pods=pods,
        **more,
    )
    cluster.answers["status"] = lambda: executed(msgspec.json.encode(run_status()))
    for one in ("parameter-server", "replay"):
        cluster.answers[f"{one} room"] = lambda: executed(msgspec.json.encode(room()))
    return cluster
