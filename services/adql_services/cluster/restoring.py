"""``adql k8s restore``: puts a lost weight store back from the newest checkpoint, by a pod that does just that.

The parameter server's own pod ends at once where its store lost the run, so that nothing can be typed in it. The pod
that is made in its place has its image, volume, Secrets and network edges, runs on its node, and goes when it has
ended.
"""

import contextlib
import copy
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from adql.errors import ConflictError, InputError, NotFoundError, RunFailedError
from adql_services.cluster import diagnosis
from adql_services.cluster.api import Cluster
from adql_services.cluster.release import (
    HELPER,
    PARAMETER_SERVER,
    container_of,
    container_status,
    find_release,
    is_over,
    is_ready,
    is_running,
    name_of,
    own_container,
)
from adql_services.cluster.words import last_words

Tree = dict[str, Any]
WAIT_SECONDS, LOOK_SECONDS, GOING_SECONDS = 300.0, 0.5, 30.0
_OF_A_SERVICE = ("command", "lifecycle", "livenessProbe", "ports", "readinessProbe", "startupProbe")
_CPU = "10m"
"""What it asks for, so that there is room for it on a node that is full of learners."""
_NEVER_READY = {"conditionType": "adql/serves"}
"""Nobody sets it: else a pod with the server's labels got its requests, and a second restore took it for that."""


def restore(
    cluster: Cluster, name: str, checkpoint: str | None = None, *, wait: Callable[[float], None] = time.sleep
) -> int:
    """Puts the store of a release back, and lets its parameter server go on; returns 0.

    ``checkpoint`` is the file to take, as a refusal names it; by default the newest that can be read.

    Raises:
        InputError: the store has lost nothing, or there is no checkpoint to take; nothing was changed.
        RunFailedError: no pod came to do it, or it did not do it; in its own words.
    """
    release = find_release(cluster, name)
    server, pods = release.workload(PARAMETER_SERVER), release.pods.get(PARAMETER_SERVER, [])
    if any(map(is_ready, pods)):
        raise InputError(
            f"the parameter server of release {name} is ready, so its store has lost nothing; nothing is to be put back"
        )
    node = next((pod["spec"]["nodeName"] for pod in pods if pod["spec"].get("nodeName")), None)
    with _started(cluster, restoring_pod(server, node, checkpoint), wait) as pod:
        sys.stdout.write(_done(cluster, pod, wait))
    if not diagnosis.wanted(server):
        sys.stdout.write(f"there is none: `kubectl scale statefulset {name_of(server)} --replicas=1`\n")
    for waiting in map(name_of, pods):  # for up to five minutes before it tries again
        with contextlib.suppress(NotFoundError):
            if not is_ready(cluster.pod(waiting)):
                cluster.remove(waiting)
    return 0


def restoring_pod(server: Tree, node: str | None, checkpoint: str | None) -> Tree:
    """Returns the pod that restores in place of those of the stateful set ``server``; on ``node`` if there is one.

    A volume that only one node may have is still that node's.
    """
    template = copy.deepcopy(server["spec"]["template"])
    template["metadata"]["name"] = f"{name_of(server)}-restore"
    template["metadata"]["labels"][HELPER] = "restore"
    template["metadata"]["ownerReferences"] = [_owner(server)]
    container, spec = own_container(template), template["spec"]
    for key in _OF_A_SERVICE:
        container.pop(key, None)
    container["args"] = ["pod", "restore", *([checkpoint] if checkpoint else [])]
    container.setdefault("resources", {}).setdefault("requests", {})["cpu"] = _CPU
    spec |= {"containers": [container], "restartPolicy": "Never", "activeDeadlineSeconds": int(WAIT_SECONDS)}
    spec["readinessGates"] = [_NEVER_READY]
    spec["volumes"] = [*spec.get("volumes", ()), *map(_claimed(server), server["spec"].get("volumeClaimTemplates", ()))]
    if node is not None:
        spec["affinity"] = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": _only(node)}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": template["metadata"], "spec": spec}


def _owner(server: Tree) -> Tree:
    """With it goes what a client that was killed has left."""
    metadata = {key: server["metadata"][key] for key in ("name", "uid")}
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", **metadata}


def _claimed(server: Tree) -> Callable[[Tree], Tree]:
    def volume(claim: Tree) -> Tree:
        claimed = {"claimName": f"{name_of(claim)}-{name_of(server)}-0"}
        return {"name": name_of(claim), "persistentVolumeClaim": claimed}

    return volume


def _only(node: str) -> Tree:
    return {
        "nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}],
    }


@contextlib.contextmanager
def _started(cluster: Cluster, pod: Tree, wait: Callable[[float], None]) -> Iterator[str]:
    """Removes it whatever happens; its name keeps a second one away meanwhile."""
    name = name_of(pod)
    _clear(cluster, name, wait)
    try:
        cluster.start(pod)
    except ConflictError:
        raise InputError(
            f"pod {name} is there: another `adql k8s restore` is under way; wait for it, or `kubectl delete pod {name}`"
        ) from None
    try:
        yield name
    finally:
        with contextlib.suppress(NotFoundError):
            cluster.remove(name)


def _clear(cluster: Cluster, name: str, wait: Callable[[float], None]) -> None:
    """Removes one that has ended, and that a client which was killed has left."""
    with contextlib.suppress(NotFoundError):
        if is_over(cluster.pod(name)):
            cluster.remove(name)
            for _ in range(int(GOING_SECONDS / LOOK_SECONDS)):
                wait(LOOK_SECONDS)
                cluster.pod(name)  # until it is not found


def _done(cluster: Cluster, name: str, wait: Callable[[float], None]) -> str:
    """Returns what the pod says, once it has done it."""
    for _ in range(int(WAIT_SECONDS / LOOK_SECONDS)):
        pod = cluster.pod(name)
        ended = container_status(pod).get("state", {}).get("terminated")
        if ended is not None:
            said = cluster.log(name, container_of(pod))
            if ended.get("exitCode"):
                kind = InputError if ended["exitCode"] == InputError.exit_code else RunFailedError
                raise kind(last_words(said) or f"{name} ended with code {ended['exitCode']}")
            return said
        wait(LOOK_SECONDS)
    trouble = diagnosis.trouble_of(pod, diagnosis.Scene()) or "has not ended"
    unchanged = "" if is_running(pod) else ", nothing was changed"
    raise RunFailedError(f"{name} {trouble}; given up after {WAIT_SECONDS:g} s{unchanged}")
