"""Asks the parameter server from inside its own pod: no token leaves the cluster, and nothing has to be opened."""

import msgspec

from adql.errors import RunFailedError
from adql_services.cluster.api import Cluster
from adql_services.cluster.execution import Execution
from adql_services.cluster.release import PARAMETER_SERVER, Release, container_of, name_of
from adql_services.runtime.failure import PREFIX


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


class Task(msgspec.Struct):
    """What was evaluated."""

    episodes: int
    learner_steps: int


class Evaluation(msgspec.Struct):
    """What came of it."""

    mean: float
    task: Task


class Volume(msgspec.Struct):
    """What room there is."""

    bytes: int
    free_bytes: int


class RunStatus(msgspec.Struct):
    """What is needed of ``adql pod status``."""

    run: Run
    evaluations: list[Evaluation]
    volume: Volume


def ask(cluster: Cluster, release: Release, what: str) -> Execution:
    """Starts ``adql pod WHAT`` in the parameter server's container.

    Raises:
        RunFailedError: none runs.
    """
    pod = release.running(PARAMETER_SERVER)
    if pod is None:
        raise RunFailedError(
            f"no {PARAMETER_SERVER} of release {release.name} runs, and its volume is reached through it: "
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
        if "invalid choice: 'pod'" in said:
            raise RunFailedError("the parameter server's image is older than this adql; `helm upgrade` to its images")
        raise RunFailedError(said or f"the parameter server's container answered with code {execution.exit_code}")


def run_status(cluster: Cluster, release: Release) -> RunStatus:
    """Returns what the parameter server tells of its run, its evaluations and its volume.

    Raises:
        RunFailedError: none runs, it does not answer, or not as one of this version does.
    """
    with ask(cluster, release, "status") as execution:
        told = execution.readall()
        check(execution)
    try:
        return msgspec.json.decode(told, type=RunStatus)
    except msgspec.MsgspecError as error:
        raise RunFailedError(
            f"the parameter server's image is of another version than this adql ({error}); `helm upgrade` to its images"
        ) from None
