"""Asks a service from inside its own pod: no token leaves the cluster, and nothing has to be opened."""

from typing import TypeVar

import msgspec

from adql.errors import RunFailedError
from adql_services.cluster.api import Cluster
from adql_services.cluster.execution import Execution
from adql_services.cluster.release import PARAMETER_SERVER, Release, container_of, name_of
from adql_services.runtime.failure import PREFIX

Told = TypeVar("Told", bound=msgspec.Struct)


class State(msgspec.Struct):
    """How the run stands."""

    status: str
    learners: int
    epoch: int
    version: int
    durable_epoch: int
    durable_version: int
    environment_steps: int
    learner_steps: int


class Run(msgspec.Struct):
    """Whose state it is, and what it is to reach."""

    name: str
    goal: float | None
    state: State
    volume_trouble: str | None = None
    """What the server cannot write to its volume, and why."""


class Task(msgspec.Struct):
    """What was evaluated."""

    episodes: int
    learner_steps: int


class Evaluation(msgspec.Struct):
    """What came of it."""

    mean: float
    task: Task


class Room(msgspec.Struct):
    """What room a volume has, and why it cannot be written, empty where it can."""

    bytes: int
    free_bytes: int
    trouble: str


class RunStatus(msgspec.Struct):
    """What is needed of ``adql pod status``."""

    run: Run
    evaluations: list[Evaluation]


def ask(cluster: Cluster, release: Release, what: str, component: str = PARAMETER_SERVER) -> Execution:
    """Starts ``adql pod WHAT`` in the container of a service.

    Raises:
        RunFailedError: none runs.
    """
    pod = release.running(component)
    if pod is None:
        raise RunFailedError(
            f"no {component} of release {release.name} runs, and its volume is reached through it: "
            f"`adql k8s status --release {release.name}` says why"
        )
    return cluster.execute(name_of(pod), container_of(pod), ["adql", "pod", what])


def check(execution: Execution) -> None:
    """Refuses what ended badly; after its output was read.

    Raises:
        RunFailedError: in the command's own words.
    """
    if execution.exit_code:
        said = " ".join(execution.stderr.split()).rpartition(PREFIX)[2]
        if "invalid choice: " in said:
            raise RunFailedError("the service's image is older than this adql; `helm upgrade` to its images")
        raise RunFailedError(said or f"the service's container answered with code {execution.exit_code}")


def run_status(cluster: Cluster, release: Release) -> RunStatus:
    """Returns what the parameter server tells of its run and its evaluations.

    Raises:
        RunFailedError: none runs, it does not answer, or not as one of this version does.
    """
    return _told(ask(cluster, release, "status"), RunStatus)


def room(cluster: Cluster, release: Release, component: str) -> Room:
    """Returns how the volume of ``component`` is.

    Raises:
        RunFailedError: as ``run_status``.
    """
    return _told(ask(cluster, release, "room", component), Room)


def _told(execution: Execution, kind: type[Told]) -> Told:
    with execution:
        told = execution.readall()
        check(execution)
    try:
        return msgspec.json.decode(told, type=kind)
    except msgspec.MsgspecError as error:
        raise RunFailedError(
            f"the service's image is of another version than this adql ({error}); `helm upgrade` to its images"
        ) from None
