"""``adql k8s status``: what runs, how the run stands, and what is wrong."""

import contextlib
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from adql.errors import AdqlError, RunFailedError
from adql_services.cluster import diagnosis
from adql_services.cluster.api import Cluster
from adql_services.cluster.inside import Evaluation, RunStatus, State, room, run_status
from adql_services.cluster.release import (
    ACTOR,
    LEARNER,
    PARAMETER_SERVER,
    REPLAY,
    Release,
    container_of,
    find_release,
    is_running,
    name_of,
)
from adql_services.cluster.words import complaint, last_words

Tree = dict[str, Any]
LOG_LINES = 200
OVER = ("reached", "budget", "plateau")
"""Statuses of a run that needs no learners; ``adql.types`` has them, and numpy with them."""


def status(cluster: Cluster, name: str) -> int:
    """Prints it; returns 0, or 1 if something is wrong."""
    release = find_release(cluster, name)
    sys.stdout.write(f"release {release.name} in namespace {cluster.namespace} of {cluster.context}\n\n")
    sys.stdout.writelines(f"{line}\n" for line in _table(release))
    try:
        told: RunStatus | None = run_status(cluster, release)
        unknown = ""
    except AdqlError as error:
        none_runs = f"no {PARAMETER_SERVER} of release {release.name} runs"
        told, unknown = None, str(error) if release.running(PARAMETER_SERVER) else none_runs
    sys.stdout.writelines(f"{line}\n" for line in (_run(told) if told else ["", f"run: {unknown}"]))
    troubles = list(_troubles(cluster, release, told))
    sys.stdout.writelines(f"\n{line}" for line in (f"! {trouble}" for trouble in troubles))
    sys.stdout.write("\n" if troubles else "")
    return int(bool(troubles) or told is None)


def _table(release: Release) -> Iterator[str]:
    yield f"{'COMPONENT':18}{'READY':8}{'RESTARTS':10}IMAGE"
    for component in release.components:
        workload = release.workloads[component]
        counts = f"{diagnosis.ready(workload)}/{diagnosis.wanted(workload)}"
        image = workload["spec"]["template"]["spec"]["containers"][0]["image"]
        yield f"{component:18}{counts:8}{restarts(release, component):<10}{image}"


def restarts(release: Release, *components: str) -> int:
    """Returns how often containers of ``components`` were started again, of all without one."""
    pods = (pod for one in components or release.pods for pod in release.pods.get(one, ()))
    statuses = (status for pod in pods for status in pod["status"].get("containerStatuses") or ())
    return sum(int(status.get("restartCount", 0)) for status in statuses)


def _run(told: RunStatus) -> Iterator[str]:
    run, state = told.run, told.run.state
    yield ""
    yield f"run {run.name}: {state.status}{_who(state)}"
    yield (
        f"  version {state.epoch}.{state.version}, durable {state.durable_epoch}.{state.durable_version}; "
        f"{state.environment_steps:,} environment steps, {state.learner_steps:,} learner steps"
    )
    yield f"  {_evaluated(told.evaluations, run.goal)}"


def _who(state: State) -> str:
    return f", {state.learners} learner{'' if state.learners == 1 else 's'}"


def _evaluated(evaluations: list[Evaluation], goal: float | None) -> str:
    aim = "" if goal is None else f"; goal {goal:g}"
    if not evaluations:
        return f"no evaluation yet{aim}"
    last, task = evaluations[-1], evaluations[-1].task
    return (
        f"last evaluation: greedy mean return {last.mean:g} over {task.episodes} episodes "
        f"at {task.learner_steps:,} learner steps{aim}"
    )


def _troubles(cluster: Cluster, release: Release, told: RunStatus | None) -> Iterator[str]:
    def words(pod: Tree, previous: bool) -> str:
        try:
            log = cluster.log(name_of(pod), container_of(pod), lines=LOG_LINES, previous=previous)
            return last_words(log) if previous or not is_running(pod) else complaint(log)
        except AdqlError:
            return ""

    claims, events = (_allowed(cluster, kind) for kind in ("persistentvolumeclaims", "events"))
    scene = diagnosis.Scene(claims, cluster.storage_classes(), events, words, datetime.now(UTC))
    yield from diagnosis.pod_troubles(release, scene)
    yield from _rooms(cluster, release, told)
    if told is None or told.run.state.status not in OVER:
        yield from _missing(release)


def _rooms(cluster: Cluster, release: Release, told: RunStatus | None) -> Iterator[str]:
    """Of a service that does not run, or does not answer, its pod is told already."""
    failing = {PARAMETER_SERVER: told.run.volume_trouble if told else None}
    for component in (PARAMETER_SERVER, REPLAY):
        with contextlib.suppress(AdqlError):
            found = room(cluster, release, component)
            yield from diagnosis.room_troubles(component, found, failing.get(component))


def _allowed(cluster: Cluster, kind: str) -> list[Tree]:
    """Returns those of ``kind``, none where they may not be asked for: then less is said of what is wrong."""
    try:
        return cluster.objects(kind)
    except RunFailedError as error:
        if error.details.get("status") != 403:
            raise
        return []


def _missing(release: Release) -> Iterator[str]:
    if not diagnosis.wanted(server := release.workloads[PARAMETER_SERVER]):
        yield f"no parameter server is asked for: `kubectl scale statefulset {name_of(server)} --replicas=1`"
    for component, option in ((LEARNER, ""), (ACTOR, " --actors")):
        if component in release.workloads and not diagnosis.wanted(release.workloads[component]):
            yield f"no {component} is asked for, so nothing is learned: `adql k8s scale 2{option}`"
