"""What is said of each thing that can be wrong with a release, and which way out is named."""

from datetime import UTC, datetime, timedelta

import pytest

from adql_services.cluster.diagnosis import Scene, pod_troubles, room_troubles
from adql_services.cluster.inside import Room
from adql_services.cluster.release import Release, container_of
from tests.k8s.objects import READY, claim, event, pod, waiting, workload


def told(component, *pods, scene=None, **status):
    release = Release("adql", {component: workload(component, **status)}, {component: list(pods)})
    return list(pod_troubles(release, scene or Scene()))


def words(said, previous=None):
    return Scene(last_words=lambda pod, before: said if previous in (None, before) else "")


def pending(message):
    return [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}]


def test_nothing_is_said_of_a_release_that_is_well():
    assert told("learner", pod("learner"), pod("learner", READY)) == []


def test_pod_that_is_being_deleted_is_no_trouble():
    going = pod("learner", waiting("CrashLoopBackOff"))
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert told("learner", going) == []


EVICTED = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on\nresource: memory."}


@pytest.mark.parametrize("container", [None, {"ready": False, "restartCount": 0, "state": {"terminated": {}}}])
def test_pod_that_its_node_has_ended_is_no_trouble_once_another_has_taken_its_place(container):
    evicted = pod("learner", container, name="adql-learner-8", **EVICTED)
    assert told("learner", evicted, pod("learner")) == []
    assert told("learner", evicted, readyReplicas=0) == [
        "adql-learner-8 was ended by its node, and another is to take its place: "
        "Evicted, The node was low on resource: memory."
    ]


def test_pods_that_the_cluster_refuses_to_make_are_told_beside_those_that_nodes_have_ended():
    conditions = [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}]
    lines = told("learner", pod("learner", None, **EVICTED), readyReplicas=0, conditions=conditions)
    assert lines[1:] == ["adql-learner has no pod: exceeded quota"]


def test_pod_on_a_node_that_is_lost_is_not_taken_for_ready():
    lost = pod("learner", READY, conditions=[{"type": "Ready", "status": "False"}])
    scene = Scene(events=[event("adql-learner-0", "NodeNotReady", "Node is not ready")])
    assert told("learner", lost, scene=scene) == ["adql-learner-0 runs and is not ready: Node is not ready"]


def test_container_that_a_mesh_has_put_beside_the_own_one_is_not_taken_for_it():
    proxied = pod("learner", {**READY, "name": "a-proxy"})
    proxied["status"]["containerStatuses"].append({**waiting("ErrImagePull"), "name": "learner"})
    proxied["spec"]["containers"].insert(0, {"name": "a-proxy", "image": "proxy:1"})
    assert container_of(proxied) == "learner"
    assert "adql/learner:0.1.0 cannot be pulled" in told("learner", proxied)[0]


def test_claim_without_a_class_where_there_is_no_default_one():
    scene = Scene(claims=[claim("parameter-server", None)], classes=[{"metadata": {"name": "fast"}}])
    (line,) = told("parameter-server", pod("parameter-server", None), scene=scene)
    assert "names no StorageClass and the cluster has no default one" in line
    assert "parameterServer.persistence.storageClass" in line and line.endswith("there are fast")


def test_claim_of_a_class_that_does_not_exist():
    scene = Scene(claims=[claim("replay", "slow")], classes=[{"metadata": {"name": "fast"}}])
    (line,) = told("replay", pod("replay", None), scene=scene)
    assert "asks for StorageClass slow, which does not exist: there are fast" in line


def test_claim_whose_volume_cannot_be_made_says_why():
    events = [event("data-adql-replay-0", "ProvisioningFailed", "quota is\nspent")]
    scene = Scene(claims=[claim("replay", "fast")], classes=[{"metadata": {"name": "fast"}}], events=events)
    assert told("replay", pod("replay", None), scene=scene)[0].endswith("has no volume yet: quota is spent")


def test_claim_that_finds_no_volume_says_what_the_scheduler_says():
    scene = Scene(claims=[claim("replay", "fast")], classes=[{"metadata": {"name": "fast"}}])
    said = "0/1 nodes are available: 1 node(s) didn't find available persistent volumes to bind."
    assert told("replay", pod("replay", None, conditions=pending(said)), scene=scene)[0].endswith(
        f"no volume yet: {said}"
    )


def test_classes_that_nobody_may_ask_for_are_not_guessed():
    scene = Scene(claims=[claim("replay", None)])
    assert "has no volume yet" in told("replay", pod("replay", None), scene=scene)[0]


@pytest.mark.parametrize(
    ("said", "way_out"),
    [
        (
            "0/1 nodes are available: 1 Insufficient cpu.",
            "fewer learners (`adql k8s scale N`), smaller learner.resources",
        ),
        ("0/1 nodes are available: 1 node(s) had untolerated taint", "tolerations or affinity of learner"),
    ],
)
def test_pod_for_which_there_is_no_node(said, way_out):
    (line,) = told("learner", pod("learner", None, conditions=pending(said)))
    assert line.startswith("adql-learner-0 is pending: ") and said in line and way_out in line


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"])
def test_image_that_cannot_be_pulled_names_how_to_make_and_load_it(reason):
    (line,) = told("learner", pod("learner", waiting(reason)))
    assert "`make images`, then `kind load docker-image adql/learner:0.1.0`" in line and "image.registry" in line


def test_crash_loop_is_told_with_the_last_words_of_the_container_before():
    crashed = waiting("CrashLoopBackOff", restarts=4, terminated={"exitCode": 2, "reason": "Error"})
    (line,) = told("learner", pod("learner", crashed), scene=words("environment.id NoSuch-v0: unknown", previous=True))
    assert line == "adql-learner-0 ended 4 times, last with code 2: environment.id NoSuch-v0: unknown"


def test_container_that_has_just_ended_is_told_with_its_own_last_words():
    state = {"ready": False, "restartCount": 0, "state": {"terminated": {"exitCode": 1}}}
    (line,) = told("learner", pod("learner", state), scene=words("the store is full", previous=False))
    assert line == "adql-learner-0 ended 1 time, last with code 1: the store is full"


def test_container_that_has_just_ended_again_is_told_with_its_last_end_and_not_with_the_one_before():
    former = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    state = {"ready": False, "restartCount": 1, "state": {"terminated": {"exitCode": 1}}, "lastState": former}
    (line,) = told("learner", pod("learner", state), scene=words("the store is full", previous=False))
    assert line == "adql-learner-0 ended 2 times, last with code 1: the store is full"


def test_crash_loop_without_a_word_names_the_logs():
    crashed = waiting("CrashLoopBackOff", restarts=1, terminated={"exitCode": 139})
    assert told("replay", pod("replay", crashed))[0].endswith("see `adql k8s logs replay`")


@pytest.mark.parametrize("said", ["a valid token is needed: …", "http://ps:8420 refused the token of /run/secrets/…"])
def test_wrong_token_names_the_secret(said):
    crashed = waiting("CrashLoopBackOff", restarts=2, terminated={"exitCode": 1})
    (line,) = told("learner", pod("learner", crashed), scene=words(said))
    assert "auth.existingSecret" in line and "rollout restart" in line


def test_process_that_took_too_much_memory_names_its_limit():
    crashed = waiting("CrashLoopBackOff", restarts=2, terminated={"exitCode": 137, "reason": "OOMKilled"})
    (line,) = told("parameter-server", pod("parameter-server", crashed))
    assert line.endswith("out of memory: raise parameterServer.resources.limits.memory")


def test_server_that_runs_and_is_not_ready_is_told_with_what_it_complains_of():
    unready = {"ready": False, "restartCount": 0, "state": {"running": {}}}
    (line,) = told(
        "parameter-server", pod("parameter-server", unready), scene=words("the store is full: raise maxmemory")
    )
    assert line == "adql-parameter-server-0 runs and is not ready: the store is full: raise maxmemory"


def test_secret_that_is_missing():
    (line,) = told("learner", pod("learner", waiting("CreateContainerConfigError", 'secret "mine" not found')))
    assert 'secret "mine" not found; make that Secret' in line


def test_volume_that_cannot_be_mounted():
    scene = Scene(events=[event("adql-learner-0", "FailedMount", 'secret "tokens" not found')])
    (line,) = told("learner", pod("learner", waiting("ContainerCreating")), scene=scene)
    assert line == 'adql-learner-0 cannot start: secret "tokens" not found'


def test_pod_that_is_just_starting_is_no_trouble():
    assert told("learner", pod("learner", waiting("ContainerCreating"))) == []


def test_pod_that_has_a_node_which_has_not_said_anything_yet_is_no_trouble():
    assert told("learner", pod("learner", None, conditions=[{"type": "PodScheduled", "status": "True"}])) == []


def test_pods_that_the_cluster_refuses_to_make():
    conditions = [{"type": "ReplicaFailure", "status": "True", "message": "violates PodSecurity"}]
    assert told("learner", conditions=conditions) == ["adql-learner has no pod: violates PodSecurity"]
    scene = Scene(
        events=[
            event("adql-replay", "FailedCreate", "old", "2026-01-01T00:00:00Z"),
            event("adql-replay", "FailedCreate", "exceeded quota", "2026-01-02T00:00:00Z"),
        ]
    )
    assert told("replay", scene=scene) == ["adql-replay has no pod: exceeded quota"]


@pytest.mark.parametrize(
    "times",
    [
        {"eventTime": "2026-01-02T00:00:00.000000Z"},
        {
            "eventTime": "2025-01-01T00:00:00.000000Z",
            "series": {"count": 2, "lastObservedTime": "2026-01-02T00:00:00.000000Z"},
        },
    ],
)
def test_event_of_a_newer_reporter_has_its_time_elsewhere(times):
    old = event("adql-replay", "FailedCreate", "old", "2026-01-01T00:00:00Z")
    new = event("adql-replay", "FailedCreate", "exceeded quota") | {"lastTimestamp": None, **times}
    assert told("replay", scene=Scene(events=[new, old])) == ["adql-replay has no pod: exceeded quota"]


def test_event_without_a_word_says_nothing():
    silent = {"involvedObject": {"name": "adql-replay"}, "reason": "FailedCreate"}
    assert told("replay", scene=Scene(events=[silent, {"involvedObject": {"name": "adql-replay"}}])) == []


def test_component_that_is_scaled_to_0_is_no_trouble():
    assert told("learner", replicas=0) == []


@pytest.mark.parametrize(
    ("total", "free", "told"),
    [(1e9, 2e8, False), (1e9, 5e7, True), (1e12, 5e10, False), (1e12, 9e8, True), (0, 0, False)],
)
def test_volume_is_told_before_it_is_full(total, free, told):
    found = list(room_troubles("replay", Room(int(total), int(free), "")))
    assert bool(found) == told
    assert not told or f"{free / 1e6:,.0f} of {total / 1e6:,.0f} MB left" in found[0]


def test_what_was_said_of_a_former_pod_of_the_name_is_not_told_again():
    old, new = event("adql-replay-0", "FailedMount", "no such secret"), event("adql-replay-0", "FailedMount", "no node")
    old["involvedObject"]["uid"], new["involvedObject"]["uid"] = "old", "new"
    starting = pod("replay", waiting("ContainerCreating"))
    starting["metadata"]["uid"] = "new"
    assert told("replay", starting, scene=Scene(events=[old])) == []
    assert told("replay", starting, scene=Scene(events=[old, new])) == ["adql-replay-0 cannot start: no node"]


@pytest.mark.parametrize(("seconds", "told_of"), [(2, False), (60, True)])
def test_container_that_has_just_started_is_given_the_time_it_takes(seconds, told_of):
    running = {"ready": False, "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    quiet, complaining = Scene(now=now), Scene(now=now, last_words=lambda pod, previous: "no room")
    assert bool(told("replay", pod("replay", running), scene=quiet)) == told_of
    assert told("replay", pod("replay", running), scene=complaining) == ["adql-replay-0 runs and is not ready: no room"]
