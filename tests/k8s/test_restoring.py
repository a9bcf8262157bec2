"""`adql k8s restore` against a cluster of made-up objects: which pod it makes, what it says, what it leaves."""

import pytest

from adql.errors import InputError, RunFailedError
from adql_services.cluster.release import find_release, name_of
from adql_services.cluster.restoring import restore, restoring_pod
from tests.k8s.objects import ClusterDouble, healthy, pod, waiting, workload

DOER = "adql-parameter-server-restore"


def lost(code: int = 0, said: str = "the store holds version 1.7 again\n"):
    """A release whose parameter server ends at once, and how the pod that restores ends."""
    cluster = healthy()
    cluster.kinds["statefulsets"][0] = stateful()
    crashed = waiting("CrashLoopBackOff", restarts=3, terminated={"exitCode": 2})
    cluster.kinds["pods"][0] = pod("parameter-server", crashed)
    cluster.kinds["pods"][0]["spec"]["nodeName"] = "node-a"
    cluster.ends = {"containerStatuses": [{"name": "parameter-server", "state": {"terminated": {"exitCode": code}}}]}
    cluster.logs[DOER, False] = said
    return cluster


def stateful():
    server = workload("parameter-server")
    server["metadata"]["uid"] = "of-the-stateful-set"
    server["spec"]["volumeClaimTemplates"] = [{"metadata": {"name": "data"}}]
    template = server["spec"]["template"]
    template["metadata"] = {"labels": dict(server["metadata"]["labels"])}
    template["spec"]["volumes"] = [{"name": "tmp", "emptyDir": {}}]
    (container,) = template["spec"]["containers"]
    container |= {"args": ["parameter-server"], "env": [{"name": "ADQL_DIRECTORY"}], "livenessProbe": {}, "ports": [{}]}
    container["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    return server


def test_pod_is_as_that_of_the_server_with_its_claim_on_its_node():
    made = restoring_pod(stateful(), "node-a", None)
    (container,) = made["spec"]["containers"]
    assert (made["metadata"]["name"], container["args"]) == (DOER, ["pod", "restore"])
    assert made["metadata"]["labels"] == stateful()["metadata"]["labels"] | {"adql/helper": "restore"}
    assert [owner["uid"] for owner in made["metadata"]["ownerReferences"]] == ["of-the-stateful-set"]
    assert container["env"] and container["volumeMounts"] and not {"livenessProbe", "ports"} & container.keys()
    assert made["spec"]["volumes"] == [
        {"name": "tmp", "emptyDir": {}},
        {"name": "data", "persistentVolumeClaim": {"claimName": "data-adql-parameter-server-0"}},
    ]
    assert made["spec"]["restartPolicy"] == "Never"
    (term,) = made["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
        "nodeSelectorTerms"
    ]
    assert term["matchFields"][0]["values"] == ["node-a"]


def test_pod_is_never_ready_so_that_neither_requests_nor_a_second_restore_take_it_for_the_server():
    assert restoring_pod(stateful(), "node-a", None)["spec"]["readinessGates"] == [{"conditionType": "adql/serves"}]


def test_pod_of_a_server_that_has_no_node_may_go_anywhere():
    made = restoring_pod(stateful(), None, "/data/adql/checkpoints/1.0.2.safetensors")
    assert "affinity" not in made["spec"]
    assert made["spec"]["containers"][0]["args"] == ["pod", "restore", "/data/adql/checkpoints/1.0.2.safetensors"]


def test_lost_store_is_put_back_and_the_server_need_not_wait_for_its_next_try(capsys):
    cluster = lost()
    assert restore(cluster, "adql") == 0
    assert capsys.readouterr().out == "the store holds version 1.7 again\n"
    assert cluster.removed == [DOER, "adql-parameter-server-0"]


def test_server_that_came_up_meanwhile_is_left_alone():
    cluster = lost()
    cluster.start = lambda made: (
        ClusterDouble.start(cluster, made),
        cluster.kinds["pods"].__setitem__(0, pod("parameter-server")),
    )
    assert restore(cluster, "adql") == 0
    assert cluster.removed == [DOER]


def test_who_asks_for_no_server_is_told_how_to_get_one(capsys):
    cluster = lost()
    cluster.kinds["statefulsets"][0]["spec"]["replicas"] = 0
    assert restore(cluster, "adql") == 0
    assert "`kubectl scale statefulset adql-parameter-server --replicas=1`" in capsys.readouterr().out


@pytest.mark.parametrize(("code", "kind"), [(1, RunFailedError), (2, InputError)])
def test_refusal_is_told_in_the_pods_own_words_and_nothing_else_is_touched(code, kind):
    cluster = lost(code, "adql: error: no checkpoint that can be read; bring one back\n")
    with pytest.raises(kind, match=r"^no checkpoint that can be read; bring one back$"):
        restore(cluster, "adql")
    assert cluster.removed == [DOER]


def test_release_whose_server_is_ready_has_lost_nothing():
    cluster = healthy()
    with pytest.raises(InputError, match="is ready, so its store has lost nothing"):
        restore(cluster, "adql")
    assert cluster.removed == []


def helper(**status):
    made = restoring_pod(stateful(), None, None)
    return {**made, "status": status}


def test_second_restore_waits_for_the_first():
    cluster = lost()
    cluster.kinds["pods"].append(helper(phase="Running"))
    with pytest.raises(InputError, match=f"pod {DOER} is there: another `adql k8s restore` is under way"):
        restore(cluster, "adql")
    assert cluster.removed == []


def test_what_a_client_that_was_killed_has_left_is_no_part_of_the_release_and_goes(capsys):
    cluster = lost()
    cluster.kinds["pods"].append(helper(phase="Succeeded"))
    assert DOER not in [name_of(one) for pods in find_release(cluster, "adql").pods.values() for one in pods]
    assert restore(cluster, "adql", wait=lambda seconds: None) == 0
    assert cluster.removed == [DOER, DOER, "adql-parameter-server-0"]


def test_pod_that_never_starts_is_given_up_with_the_reason():
    cluster, waited = lost(), []
    cluster.ends = {"containerStatuses": [waiting("ImagePullBackOff")]}
    with pytest.raises(RunFailedError, match=r"has no image.*given up after 300 s, nothing was changed"):
        restore(cluster, "adql", wait=waited.append)
    assert sum(waited) == 300.0 and cluster.removed == [DOER]


def test_pod_that_runs_when_it_is_given_up_may_have_done_it():
    cluster = lost()
    cluster.ends = {"containerStatuses": [{"name": "parameter-server", "state": {"running": {}}}]}
    with pytest.raises(RunFailedError, match=r"given up after 300 s$"):
        restore(cluster, "adql", wait=lambda _: None)
    assert cluster.removed == [DOER]
