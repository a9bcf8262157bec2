"""A release of the chart: its objects found by their labels, whatever they are called."""

from dataclasses import dataclass, field
from typing import Any

from adql.errors import InputError
from adql_services.cluster.api import Cluster

Tree = dict[str, Any]
INSTANCE, COMPONENT = "app.kubernetes.io/instance", "app.kubernetes.io/component"
HELPER = "adql/helper"
"""A label of pods that have the labels of a component, for its network edges, and are none of it."""
COMPONENTS = ("parameter-server", "replay", "valkey", "learner", "actor", "evaluator", "controller")
"""In the order in which they are shown."""
PARAMETER_SERVER, REPLAY, LEARNER, ACTOR = "parameter-server", "replay", "learner", "actor"


@dataclass(frozen=True, slots=True)
class Release:
    """What of one release is in its namespace now."""

    name: str
    workloads: dict[str, Tree] = field(default_factory=dict)
    """Stateful sets and deployments by component."""
    pods: dict[str, list[Tree]] = field(default_factory=dict)
    """By component, the oldest first."""

    def workload(self, component: str) -> Tree:
        """Returns the stateful set or deployment of ``component``.

        Raises:
            InputError: the release has none.
        """
        if component not in self.workloads:
            there = ", ".join(self.components)
            raise InputError(f"release {self.name} has no {component}; it has {there}")
        return self.workloads[component]

    @property
    def components(self) -> list[str]:
        """Its components in the order in which they are shown."""
        return sorted(self.workloads, key=_place)

    def running(self, component: str) -> Tree | None:
        """Returns a pod of ``component`` whose container runs, a ready one first; None if none does."""
        found = [pod for pod in self.pods.get(component, ()) if is_running(pod)]
        return min(found, key=lambda pod: not is_ready(pod), default=None)


def find_release(cluster: Cluster, name: str) -> Release:
    """Returns the release called ``name`` in the cluster's namespace.

    Raises:
        InputError: there is none; it says where there are some.
    """
    selector = f"{INSTANCE}={name},{COMPONENT}"
    workloads = cluster.objects("statefulsets", selector) + cluster.objects("deployments", selector)
    if not any(component_of(one) == PARAMETER_SERVER for one in workloads):
        raise InputError(_nowhere(cluster, name))
    pods: dict[str, list[Tree]] = {}
    for pod in sorted(cluster.objects("pods", selector), key=lambda pod: str(pod["metadata"].get("creationTimestamp"))):
        if HELPER not in pod["metadata"]["labels"]:
            pods.setdefault(component_of(pod), []).append(pod)
    return Release(name, {component_of(one): one for one in workloads}, pods)


def component_of(item: Tree) -> str:
    """Returns the component that ``item`` belongs to."""
    return str(item["metadata"].get("labels", {}).get(COMPONENT, ""))


def name_of(item: Tree) -> str:
    """Returns the name of ``item``."""
    return str(item["metadata"]["name"])


def own_container(pod: Tree) -> Tree:
    """Returns the container that is called as its component, whatever a mesh has put beside it; else the first."""
    containers: list[Tree] = pod["spec"]["containers"]
    return next((one for one in containers if one["name"] == component_of(pod)), containers[0])


def container_of(pod: Tree) -> str:
    """Returns the name of the pod's own container."""
    return str(own_container(pod)["name"])


def container_status(pod: Tree) -> Tree:
    """Returns the status of the pod's own container, empty before there is one; they stand in no order."""
    statuses: list[Tree] = pod["status"].get("containerStatuses") or [{}]
    own = container_of(pod)
    return next((one for one in statuses if one.get("name") == own), statuses[0])


def is_running(pod: Tree) -> bool:
    """Whether its container runs now, and is not being deleted."""
    return "running" in container_status(pod).get("state", {}) and not pod["metadata"].get("deletionTimestamp")


def is_ready(pod: Tree) -> bool:
    """Whether the cluster takes it for ready: of a node that is lost the container's own word is the last that came."""
    conditions = {one["type"]: one["status"] for one in pod["status"].get("conditions", [])}
    return conditions["Ready"] == "True" if "Ready" in conditions else bool(container_status(pod).get("ready"))


def is_over(pod: Tree) -> bool:
    """Whether its node has ended it for good, as by eviction or a shutdown; another pod then takes its place."""
    return pod["status"].get("phase") in ("Failed", "Succeeded")


def _place(component: str) -> tuple[int, str]:
    return (COMPONENTS.index(component) if component in COMPONENTS else len(COMPONENTS), component)


def _nowhere(cluster: Cluster, name: str) -> str:
    found = [
        f"{one['metadata']['labels'].get(INSTANCE)} in namespace {one['metadata']['namespace']}"
        for one in cluster.everywhere(f"{COMPONENT}={PARAMETER_SERVER}")
    ]
    there = f"there is {', '.join(found)}: name one with --release and --namespace" if found else _INSTALL
    return f"no release {name} of ADQL in namespace {cluster.namespace}; {there}"


_INSTALL = "make one with `helm install adql charts/adql`, or name another with --release and --namespace"
