"""``adql k8s logs``: what the pods of a release say, each line after the name of its pod."""

import queue
import sys
import threading
from typing import Any

from adql.errors import AdqlError, InputError
from adql_services.cluster.api import Cluster
from adql_services.cluster.release import Release, container_of, find_release, is_running, name_of

Tree = dict[str, Any]


def logs(cluster: Cluster, name: str, component: str | None, *, follow: bool, lines: int | None) -> int:
    """Prints them, and with ``follow`` what comes; returns 0.

    Raises:
        InputError: no such release or component, or none of its pods has run yet.
        AdqlError: one of them could not be read, such as that of a pod that is gone; the others were printed.
    """
    if lines is not None and lines < 0:
        raise InputError(f"--tail {lines}: at least 0")
    pods = _pods(find_release(cluster, name), component)
    failure = (_follow if follow else _print)(cluster, pods, lines)
    if failure is not None:
        raise failure
    return 0


def _pods(release: Release, component: str | None) -> list[Tree]:
    """Pods that have said something."""
    if component is not None:
        release.workload(component)
    named = [component] if component is not None else release.components
    found = [pod for one in named for pod in release.pods.get(one, ()) if is_running(pod) or _has_run(pod)]
    if not found:
        raise InputError(f"no pod of {component or 'release ' + release.name} has run yet; see `adql k8s status`")
    return found


def _has_run(pod: Tree) -> bool:
    statuses = pod["status"].get("containerStatuses") or []
    return any("terminated" in {**one.get("state", {}), **one.get("lastState", {})} for one in statuses)


def _print(cluster: Cluster, pods: list[Tree], lines: int | None) -> AdqlError | None:
    """Returns why the first of those that could not be read could not."""
    failure: AdqlError | None = None
    for pod in pods:
        try:
            text = cluster.log(name_of(pod), container_of(pod), lines=lines)
        except AdqlError as error:
            failure = failure or error
            continue
        for line in text.splitlines():
            _write(name_of(pod), line)
    return failure


def _follow(cluster: Cluster, pods: list[Tree], lines: int | None) -> AdqlError | None:
    """Threads read and this one alone writes: one that held stdout would abort the process when it is to end.

    Returns why the first of those that could not be read could not, once all have ended.
    """
    said: queue.SimpleQueue[tuple[Tree, str | AdqlError | None]] = queue.SimpleQueue()

    def read(pod: Tree) -> None:
        end: AdqlError | None = None
        try:
            for line in cluster.follow(name_of(pod), container_of(pod), lines):
                said.put((pod, line))
        except AdqlError as error:
            end = error
        finally:
            said.put((pod, end))  # whatever it ended by: nobody waits for it for ever

    for pod in pods:
        threading.Thread(target=read, args=(pod,), daemon=True).start()
    going = len(pods)
    failure: AdqlError | None = None
    while going:
        pod, line = said.get()
        if isinstance(line, str):
            _write(name_of(pod), line)
        else:
            going, failure = going - 1, failure or line
    return failure


def _write(pod: str, line: str) -> None:
    sys.stdout.write(f"[{pod}] {line}\n")
    sys.stdout.flush()
