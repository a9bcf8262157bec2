"""Asks the parameter server from inside its own pod: no token leaves the cluster, and nothing has to be opened."""

import json
from typing import Any

from adql.errors import RunFailedError
from adql_services.cluster.api import Cluster
from adql_services.cluster.execution import Execution
from adql_services.cluster.release import PARAMETER_SERVER, Release, container_of, name_of
from adql_services.runtime.failure import PREFIX

Tree = dict[str, Any]


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


def run_status(cluster: Cluster, release: Release) -> Tree:
    """Returns what the parameter server tells of its run, its evaluations and its volume.

    Raises:
        RunFailedError: none runs, or it does not answer.
    """
    with ask(cluster, release, "status") as execution:
        told = execution.readall()
        check(execution)
    status: Tree = json.loads(told)
    return status
