"""What is wrong with a release, and the way out of it: read from its objects, and from the last words of its pods."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from adql_services.cluster.inside import Room
from adql_services.cluster.release import (
    Release,
    component_of,
    container_status,
    is_over,
    is_ready,
    name_of,
    own_container,
)

Tree = dict[str, Any]
LastWords = Callable[[Tree, bool], str]
"""Of a pod: the last line of its log that complains; True asks for the container that ran before this one."""
LEAST_FREE_SHARE, LEAST_FREE_BYTES = 0.1, 1024**3
"""A volume on which less than both is free is nearly full: of a large one a tenth is room enough."""
STARTING = timedelta(seconds=10)
"""A container that runs no longer than this, and does not complain, is on its way."""
_WRONG_TOKEN = ("a valid token is needed", "refused the token")
_STARTING = ("", "ContainerCreating", "PodInitializing")
_START_FAILURES = ("FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox")
_PULL_REASONS = ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName")
_SECTIONS = {"parameter-server": "parameterServer"}
"""Sections of values.yaml that are not called as their component is."""
_LONG_AFTER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Scene:
    """What there is around the pods of a release."""

    claims: Sequence[Tree] = ()
    classes: Sequence[Tree] | None = None
    """Storage classes; None where nobody may ask."""
    events: Sequence[Tree] = ()
    last_words: LastWords = lambda pod, previous: ""
    now: datetime = _LONG_AFTER

    def event(self, about: Tree, *reasons: str) -> str:
        """Returns the newest message of these ``reasons`` about an object, empty if there is none.

        A former one of its name had another uid.
        """
        events = (one for one in self.events if _is_about(one["involvedObject"], about["metadata"]))
        newest = max((one for one in events if one.get("reason") in reasons), key=_time, default={})
        return " ".join(str(newest.get("message") or "").split())


def _is_about(involved: Tree, metadata: Tree) -> bool:
    same = involved.get("uid", metadata.get("uid")) == metadata.get("uid")
    return same and involved.get("name") == metadata["name"]


def _time(event: Tree) -> str:
    """When it was seen last; newer reporters leave ``lastTimestamp`` out."""
    times = (event.get("lastTimestamp"), (event.get("series") or {}).get("lastObservedTime"), event.get("eventTime"))
    return str(next(filter(None, times), ""))


def pod_troubles(release: Release, scene: Scene) -> Iterator[str]:
    """Yields one line for each thing that is wrong with the pods of ``release``, and the way out."""
    for component in release.components:
        workload, pods = release.workloads[component], release.pods.get(component, [])
        for pod in pods:
            if not _is_well(pod, workload) and (said := trouble_of(pod, scene)):
                yield f"{name_of(pod)} {said}"
        if all(map(is_over, pods)) and wanted(workload):
            yield from _without_pods(workload, scene)


def wanted(workload: Tree) -> int:
    """Returns how many pods it should have."""
    return int(workload["spec"].get("replicas", 1))


def ready(workload: Tree) -> int:
    """Returns how many of its pods are ready."""
    return int(workload.get("status", {}).get("readyReplicas") or 0)


def room_troubles(component: str, room: Room, failing: str | None = None) -> Iterator[str]:
    """Yields a line if the volume of ``component`` is nearly full, or cannot be written for another reason.

    ``failing`` is what its service could not write, and why: a single file may refuse what the volume takes.
    """
    total, free, trouble = room.bytes, room.free_bytes, room.trouble or failing
    if free < min(LEAST_FREE_SHARE * total, LEAST_FREE_BYTES):
        written = f", and it cannot be written ({trouble})" if trouble else ""
        yield (
            f"the volume of {component} has {free / 1e6:,.0f} of {total / 1e6:,.0f} MB left{written}: give its claim "
            "more room (`kubectl edit pvc`, where the StorageClass lets it grow), or remove folders of old runs in it"
        )
    elif trouble:
        yield (
            f"the volume of {component} cannot be written ({trouble}): user 10001 needs to, so mend the volume "
            f"or who owns it, then `kubectl delete pod`; `adql k8s logs {component}` says what could not be kept"
        )


def _is_well(pod: Tree, workload: Tree) -> bool:
    """What a node has ended stays in the list for long; it explains only why there are fewer than there should be."""
    replaced = is_over(pod) and ready(workload) >= wanted(workload)
    return replaced or is_ready(pod) or bool(pod["metadata"].get("deletionTimestamp"))


def trouble_of(pod: Tree, scene: Scene) -> str:
    """Returns what keeps a pod from being ready, and the way out; empty while it only takes its time."""
    status = container_status(pod)
    state = status.get("state", {})
    if is_over(pod):
        return _of_its_node(pod)
    if not status and _scheduled(pod).get("status") != "True":
        return f"is pending: {_unscheduled(pod, scene)}"
    if "running" in state:
        words = _with_way_out(scene.last_words(pod, False)) or scene.event(pod, "NodeNotReady")
        if not words and _just_started(state["running"], scene.now):
            return ""
        return f"runs and is not ready: {words or 'it has not said why'}"
    if "terminated" in state or state.get("waiting", {}).get("reason") == "CrashLoopBackOff":
        return _ended(pod, status, scene)
    return _waiting(pod, status, scene)


def _of_its_node(pod: Tree) -> str:
    said = ", ".join(str(pod["status"][key]) for key in ("reason", "message") if pod["status"].get(key))
    return f"was ended by its node, and another is to take its place: {' '.join(said.split()) or 'without a word'}"


def _just_started(running: Tree, now: datetime) -> bool:
    started = running.get("startedAt")
    return started is not None and now - datetime.fromisoformat(started) < STARTING


def _waiting(pod: Tree, status: Tree, scene: Scene) -> str:
    waiting = status.get("state", {}).get("waiting", {})
    reason, message = waiting.get("reason", ""), " ".join(waiting.get("message", "").split())
    if reason in _PULL_REASONS:
        return _image(pod, status)
    if reason == "CreateContainerConfigError":
        return f"cannot start: {message}; make that Secret or ConfigMap, or let the chart make it"
    if reason in _STARTING:
        failed = scene.event(pod, *_START_FAILURES)
        return f"cannot start: {failed}" if failed else ""
    return f"cannot start: {reason}, {message or 'without a word'}; see `kubectl describe pod {name_of(pod)}`"


def _image(pod: Tree, status: Tree) -> str:
    image = str(status.get("image") or own_container(pod)["image"])
    made = "`make images`, then " if "adql/" in image else ""
    host, slash, _ = image.partition("/")
    own = "" if slash and ("." in host or ":" in host) else f"{made}`kind load docker-image {image}`, or "
    return (
        f"has no image, {image} cannot be pulled: {own}name where it is by image.registry and image.tag "
        "(of learners and evaluator alone: image.learner.registry and image.learner.tag), "
        "and global.imagePullSecrets if it asks who you are"
    )


def _ended(pod: Tree, status: Tree, scene: Scene) -> str:
    ended: Tree = status.get("state", {}).get("terminated") or status.get("lastState", {}).get("terminated") or {}
    times = status.get("restartCount", 0) + ("terminated" in status.get("state", {}))
    how = f"ended {times} time{'' if times == 1 else 's'}, last with code {ended.get('exitCode', '?')}"
    if ended.get("reason") == "OOMKilled":
        return f"{how}, out of memory: raise {_section(pod)}.resources.limits.memory"
    words = scene.last_words(pod, "terminated" not in status.get("state", {}))
    return f"{how}: {_with_way_out(words) or f'see `adql k8s logs {component_of(pod)}`'}"


def _with_way_out(words: str) -> str:
    """What a service says names the way out; who sees the release from outside has a nearer one from a wrong token."""
    if any(said in words for said in _WRONG_TOKEN):
        return (
            f"{words}; its token is not the parameter server's: both mount the same Secret unless auth.existingSecret "
            "was changed under them, then `kubectl rollout restart` brings them together"
        )
    return words


def _scheduled(pod: Tree) -> Tree:
    conditions: list[Tree] = pod["status"].get("conditions", [])
    return next((one for one in conditions if one["type"] == "PodScheduled"), {})


def _unscheduled(pod: Tree, scene: Scene) -> str:
    volumes = (volume.get("persistentVolumeClaim", {}) for volume in pod["spec"].get("volumes", []))
    own = {volume["claimName"] for volume in volumes if volume}
    said = str(_scheduled(pod).get("message", ""))
    for claim in scene.claims:
        if name_of(claim) in own and claim["status"].get("phase") == "Pending":
            return _unbound(claim, scene, said)
    if "Insufficient" in said:
        section = _section(pod)
        return f"{said} Make room: fewer learners (`adql k8s scale N`), smaller {section}.resources.requests, or a node"
    if any(word in said for word in ("taint", "selector", "affinity")):
        return f"{said} Set nodeSelector, tolerations or affinity of {_section(pod)} to nodes that there are"
    return said or "it has not been scheduled yet"


def _unbound(claim: Tree, scene: Scene, unscheduled: str) -> str:
    name, asked = name_of(claim), claim["spec"].get("storageClassName")
    names = sorted(name_of(one) for one in scene.classes or [])
    there = f"there are {', '.join(names)}" if names else "the cluster has none"
    if asked is None and scene.classes is not None:
        return (
            f"claim {name} names no StorageClass and the cluster has no default one: name one by "
            f"{_section(claim)}.persistence.storageClass at install, or make one the default; {there}"
        )
    if asked and scene.classes is not None and asked not in names:
        return f"claim {name} asks for StorageClass {asked}, which does not exist: {there}"
    said = scene.event(claim, "ProvisioningFailed", "FailedBinding") or unscheduled
    return f"claim {name} has no volume yet" + (f": {said}" if said else "; its StorageClass may still be making one")


def _without_pods(workload: Tree, scene: Scene) -> Iterator[str]:
    conditions = workload.get("status", {}).get("conditions", [])
    failure = next((str(one.get("message")) for one in conditions if one["type"] == "ReplicaFailure"), None)
    if said := failure or scene.event(workload, "FailedCreate"):
        yield f"{name_of(workload)} has no pod: {said}"


def _section(item: Tree) -> str:
    """What the values of its component are called."""
    component = component_of(item)
    return _SECTIONS.get(component, component or "COMPONENT")
