"""What the cluster tests stand on: images of this checkout, a cluster that can run them, namespaces of their own.

``CLUSTER_LOAD`` is the command that gives images to the cluster, ``kind load docker-image`` unless it is set;
``CLUSTER_RECLAIM`` one that is run between tests when few volumes are left, where they do not come back by themselves.
"""

import itertools
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster.commands import TAG, Helm, Kubectl, load_into_cluster, run

_NUMBERS = itertools.count(1)
HERE = Path(__file__).parent
SPARE = 9
"""Volumes: three releases' worth."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("cluster")


@pytest.fixture(scope="session")
def built_images() -> Iterator[str]:
    """Builds the images of this checkout; gives their tag."""
    run("make", "images", f"TAG={TAG}", seconds=900)
    yield TAG
    run("docker", "image", "rm", f"adql/service:{TAG}", f"adql/learner:{TAG}", check=False)


@pytest.fixture(scope="session")
def cluster(built_images: str) -> None:
    """A cluster that answers and has the images of this checkout."""
    run("kubectl", "wait", "--for=condition=Ready", "node", "--all", "--timeout=60s")
    load_into_cluster(*(f"adql/{image}:{built_images}" for image in ("service", "learner")))


@contextmanager
def new_namespace() -> Iterator[Kubectl]:
    """A namespace that enforces Pod Security restricted; all that is in it goes with it."""
    reclaim_volumes()
    kubectl = Kubectl(f"adql-test-{os.getpid()}-{next(_NUMBERS)}")
    run("kubectl", "create", "namespace", kubectl.namespace)
    run("kubectl", "label", "namespace", kubectl.namespace, "pod-security.kubernetes.io/enforce=restricted")
    try:
        yield kubectl
    finally:
        # What is in it is of no more use: first who would replace the pods, then the pods, without their grace.
        kubectl("delete", "deployments,statefulsets", "--all", "--cascade=orphan", check=False)
        kubectl("delete", "pods", "--all", "--grace-period=1", "--wait=false", check=False)
        run("kubectl", "delete", "namespace", kubectl.namespace, "--wait=false")


def reclaim_volumes() -> None:
    """Gets back what deleted claims have left, where that does not come by itself and little is left."""
    command = shlex.split(os.environ.get("CLUSTER_RECLAIM", ""))
    if not command or free_volumes() >= SPARE:
        return
    run(*command)
    if free_volumes() < SPARE:  # the claims of namespaces that are on their way out
        going = run("kubectl", "get", "namespaces", "--field-selector=status.phase=Terminating", "--output=name")
        if going:
            run("kubectl", "wait", "--for=delete", *going.split(), "--timeout=120s")
        run(*command)


def free_volumes() -> int:
    """How many volumes no claim has or has had."""
    return run("kubectl", "get", "pv").count("Available")


@pytest.fixture
def kubectl(cluster: None) -> Iterator[Kubectl]:
    """The command kubectl in a new namespace."""
    with new_namespace() as kubectl:
        yield kubectl


@pytest.fixture(params=["helm", "helm3"])
def helm(request: pytest.FixtureRequest, kubectl: Kubectl) -> Helm:
    """Helm 4 and Helm 3, each in a namespace of its own."""
    return Helm(request.param, kubectl.namespace)
