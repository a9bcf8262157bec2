"""What every pod of the chart has to be: restricted, bounded, looked after, and small enough together."""

from fractions import Fraction
from typing import Any

import pytest

from tests.deploy.copies import with_bug
from tests.deploy.features import CASES, DIGEST, FEATURES
from tests.deploy.rendering import COMPONENTS, Object, Rendered, merged, render, values_of

UNITS = {"m": Fraction(1, 1000), "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
ALLOWED_VOLUMES = {"configMap", "emptyDir", "secret", "persistentVolumeClaim", "projected"}
HOST = ("hostNetwork", "hostPID", "hostIPC")


@pytest.fixture(scope="module", params=CASES)
def rendered(request) -> Rendered:
    return render(CASES[request.param])


def unrestricted(pod: Object) -> list[str]:
    """What keeps a pod from the Pod Security standard `restricted`, and from our own: a read-only root and no token."""
    spec = pod["spec"]
    context = spec.get("securityContext", {})
    problems = [name for name in HOST if spec.get(name)]
    problems += [] if context.get("runAsNonRoot") is True else ["runAsNonRoot"]
    problems += [] if context.get("runAsUser", 0) > 0 else ["runAsUser"]
    problems += [] if context.get("seccompProfile", {}).get("type") in ("RuntimeDefault", "Localhost") else ["seccomp"]
    problems += [] if token_is_right(pod) else ["automountServiceAccountToken"]
    problems += ["sysctls"] if context.get("sysctls") else []
    for volume in spec.get("volumes", ()):
        problems += [f"volume {kind}" for kind in set(volume) - {"name"} - ALLOWED_VOLUMES]
    for container in (*spec.get("initContainers", ()), *spec["containers"], *spec.get("ephemeralContainers", ())):
        problems += _unrestricted(container)
    return problems


def token_is_right(pod: Object) -> bool:
    """Whether the pod mounts a service account token exactly if it is the controller's, which alone asks Kubernetes."""
    controls = pod["metadata"]["labels"]["app.kubernetes.io/component"] == "controller"
    sources = [source for volume in pod["spec"]["volumes"] for source in volume.get("projected", {}).get("sources", ())]
    mounted = any("serviceAccountToken" in source for source in sources)
    return pod["spec"].get("automountServiceAccountToken") is False and mounted is controls


def _unrestricted(container: Object) -> list[str]:
    context = container.get("securityContext", {})
    problems = [] if context.get("allowPrivilegeEscalation") is False else ["allowPrivilegeEscalation"]
    problems += [] if context.get("capabilities", {}).get("drop") == ["ALL"] else ["capabilities"]
    problems += ["capabilities added"] if context.get("capabilities", {}).get("add") else []
    problems += [] if context.get("readOnlyRootFilesystem") is True else ["readOnlyRootFilesystem"]
    own = {"allowPrivilegeEscalation", "capabilities", "readOnlyRootFilesystem"}
    problems += sorted(set(context) - own)  # privileged, procMount, runAsUser and the like: nothing here needs one
    return problems + ["hostPort"] * any("hostPort" in port for port in container.get("ports", ()))


def test_every_pod_is_restricted(rendered):
    assert {name: found for name, pod in rendered.pods() if (found := unrestricted(pod))} == {}


def test_there_are_six_pods_and_that_of_helm_test_is_one_of_them():
    assert sorted(name for name, _ in render().pods()) == sorted(f"adql-{name}" for name in (*COMPONENTS, "test"))


@pytest.mark.parametrize(
    ("right", "wrong", "problem"),
    [
        ("  runAsNonRoot: true\n", "", "runAsNonRoot"),
        ("  runAsUser: 10001\n", "  runAsUser: 0\n", "runAsUser"),
        ("    type: RuntimeDefault\n", "    type: Unconfined\n", "seccomp"),
        ("automountServiceAccountToken: false\n", "", "automountServiceAccountToken"),
        ("enableServiceLinks: false\n", "hostNetwork: true\n", "hostNetwork"),
    ],
)
def test_planted_pod_that_is_not_restricted_is_seen(tmp_path, right: str, wrong: str, problem: str):
    pods = dict(render(chart=with_bug(tmp_path, "templates/_pod.tpl", right, wrong)).pods())
    assert len(pods) == 6 and all(problem in unrestricted(pod) for pod in pods.values())


@pytest.mark.parametrize(
    ("right", "wrong", "problem"),
    [
        ("    drop: [ALL]\n", "    drop: [NET_RAW]\n", "capabilities"),
        ("  allowPrivilegeEscalation: false\n", "  privileged: true\n", "privileged"),
        ("  readOnlyRootFilesystem: true\n", "", "readOnlyRootFilesystem"),
    ],
)
def test_planted_container_that_is_not_restricted_is_seen(tmp_path, right: str, wrong: str, problem: str):
    pods = render(chart=with_bug(tmp_path, "templates/_container.tpl", right, wrong)).pods()
    assert all(problem in unrestricted(pod) for _, pod in pods)


def test_no_pod_but_the_controllers_has_a_service_account_token(rendered):
    assert all(one.get("automountServiceAccountToken") is False for one in rendered.of("ServiceAccount").values())
    for name, pod in rendered.pods():
        assert token_is_right(pod), name


def test_nobody_may_do_more_at_the_api_server_than_the_controller_has_to(rendered):
    assert rendered.of("ClusterRole") == rendered.of("ClusterRoleBinding") == {}
    rules = [rule for role in rendered.of("Role").values() for rule in role["rules"]]
    scale = {"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["get", "patch", "update"]}
    events = {"apiGroups": ["", "events.k8s.io"], "resources": ["events"], "verbs": ["create"]}
    for rule in rules:
        allowed = scale if rule["resources"] == scale["resources"] else events
        assert all(set(rule[key]) <= set(allowed[key]) for key in allowed), rule
        assert "deployments/scale" not in rule["resources"] or len(rule["resourceNames"]) == 1, rule


def test_nothing_secret_is_in_a_variable_or_an_argument(rendered):
    secrets = [text for one in rendered.of("Secret").values() for text in one.get("data", {}).values()]
    for name, container in rendered.containers():
        assert not any(secret in str(container) for secret in secrets), name
        references = [variable.get("valueFrom", {}) for variable in container.get("env", ())]
        assert not any("secretKeyRef" in reference for reference in references), name


def test_secrets_are_mounted_whole_so_that_a_new_one_arrives(rendered):
    for name, container in rendered.containers():
        assert not any("subPath" in mount or "subPathExpr" in mount for mount in container["volumeMounts"]), name


def test_every_container_has_a_memory_limit_and_none_has_one_for_processors(rendered):
    for name, container in rendered.containers():
        limits = container["resources"]["limits"]
        assert "memory" in limits or "nvidia.com/gpu" in limits, name
        assert "cpu" not in limits, name


def quantity(text: Any) -> Fraction:
    """Reads what Kubernetes calls a quantity."""
    number = str(text).rstrip("mKMGi")
    return Fraction(number) * UNITS.get(str(text)[len(number) :], 1)


def requested(rendered: Rendered, resource: str) -> Fraction:
    """The sum over all pods, the one of `helm test` too."""
    total = Fraction(0)
    for name, container in rendered.containers():
        count = rendered.component("learner")["spec"]["replicas"] if name == "adql-learner" else 1
        total += count * quantity(container["resources"]["requests"][resource])
    return total


def test_eight_learners_and_all_else_fit_on_two_processors_and_8_gib():
    rendered = render(values_of("learner.replicaCount=8"))
    assert requested(rendered, "cpu") <= 2 - quantity("300m")  # what the cluster's own pods ask for, DNS above all
    assert requested(rendered, "memory") <= 8 * 2**30 - quantity("512Mi")


def test_a_learner_asks_for_a_tenth_of_a_processor():
    (container,) = render().component("learner")["spec"]["template"]["spec"]["containers"]
    assert quantity(container["resources"]["requests"]["cpu"]) <= quantity("100m")


def test_every_service_says_whether_it_started_lives_and_is_ready(rendered):
    for name, container in rendered.containers():
        probes = {"startupProbe", "livenessProbe", "readinessProbe"}
        assert probes <= set(container) or name.endswith("-test"), name


def test_liveness_never_asks_the_store_and_readiness_is_another_question():
    for component in ("parameter-server", "replay", "learner", "evaluator"):
        (container,) = render().component(component)["spec"]["template"]["spec"]["containers"]
        assert container["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "side"}
        assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "side"}
        startup = container["startupProbe"]
        assert startup["periodSeconds"] * startup["failureThreshold"] >= 120


def test_whoever_keeps_state_has_60_seconds_to_end_and_learners_have_30():
    seconds = {name: pod["spec"].get("terminationGracePeriodSeconds") for name, pod in render().pods()}
    for component in COMPONENTS:
        assert seconds[f"adql-{component}"] == (30 if component in ("learner", "evaluator") else 60)


@pytest.mark.parametrize("component", ["parameter-server", "replay", "valkey"])
def test_servers_go_on_answering_while_they_are_taken_out_of_use(component: str):
    (container,) = render().component(component)["spec"]["template"]["spec"]["containers"]
    assert container["lifecycle"]["preStop"]["sleep"]["seconds"] > 0


def test_drain_may_always_take_one_pod_of_each_component():
    budgets = render().of("PodDisruptionBudget")
    assert len(budgets) == len(COMPONENTS)
    for budget in budgets.values():
        assert budget["spec"]["maxUnavailable"] == 1 and "minAvailable" not in budget["spec"]


def test_learners_roll_and_all_others_are_replaced_one_at_a_time():
    rendered = render()
    assert rendered.component("learner")["spec"]["strategy"]["type"] == "RollingUpdate"
    assert rendered.component("evaluator")["spec"]["strategy"] == {"type": "Recreate"}
    for one in rendered.of("StatefulSet").values():
        assert one["spec"]["replicas"] == 1
        assert one["spec"].get("updateStrategy", {"type": "RollingUpdate"})["type"] == "RollingUpdate"


def test_actors_act_alone_beside_learners_that_learn_alone():
    rendered = render(FEATURES["actors"])
    for component, role in (("learner", "learner"), ("actor", "actor")):
        (container,) = rendered.component(component)["spec"]["template"]["spec"]["containers"]
        assert {"name": "ADQL_ROLE", "value": role} in container["env"]
        assert container["args"] == ["learner", "/etc/adql/run.yaml"]
    assert rendered.component("actor")["spec"]["replicas"] == 4


def test_learners_are_spread_over_nodes_where_that_is_possible():
    (spread,) = render().component("learner")["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"]["app.kubernetes.io/component"] == "learner"
    assert spread["whenUnsatisfiable"] == "ScheduleAnyway"


def test_every_image_has_the_global_registry_and_every_pod_its_secrets():
    rendered = render(FEATURES["images"])
    images = {name: container["image"] for name, container in rendered.containers()}
    assert images == {
        "adql-parameter-server": "registry.example.org/adql/service:9.9.9-1",
        "adql-replay": "registry.example.org/adql/service:9.9.9-1",
        "adql-test": f"registry.example.org/adql/learner@{DIGEST}",
        "adql-learner": f"registry.example.org/adql/learner@{DIGEST}",
        "adql-evaluator": f"registry.example.org/adql/learner@{DIGEST}",
        "adql-valkey": "registry.example.org/valkey/valkey:9.1",
    }
    assert all(pod["spec"]["imagePullSecrets"] == [{"name": "pull"}] for _, pod in rendered.pods())
    assert all(container["imagePullPolicy"] == "Always" for _, container in rendered.containers())


def test_image_with_an_environment_of_ones_own_may_come_from_a_registry_of_its_own():
    own = {"registry": "mine.example.org", "repository": "lab/walker", "tag": "v1"}
    values = {"image": {"registry": "published.example.org", "learner": own}}
    images = {name: container["image"] for name, container in render(values).containers()}
    assert images["adql-learner"] == images["adql-test"] == "mine.example.org/lab/walker:v1"
    assert images["adql-replay"] == "published.example.org/adql/service:0.1.0"
    assert images["adql-valkey"] == "docker.io/valkey/valkey:9.1"
    everywhere = render(merged(values, {"global": {"imageRegistry": "mirror.example.org"}})).containers()
    assert all(container["image"].startswith("mirror.example.org/") for _, container in everywhere)


def test_no_image_is_whatever_is_newest(rendered):
    for name, container in rendered.containers():
        assert "@sha256:" in container["image"] or container["image"].rpartition(":")[2] not in ("", "latest"), name


def test_pull_secrets_may_be_names_alone():
    rendered = render({"global": {"imagePullSecrets": ["pull"]}})
    assert all(pod["spec"]["imagePullSecrets"] == [{"name": "pull"}] for _, pod in rendered.pods())


def test_variables_of_the_user_take_the_place_of_the_charts_own_by_name():
    extra = [
        {"name": "ADQL_LOG_FORMAT", "value": "json"},
        {"name": "MUJOCO_GL", "value": "egl"},
        {"name": "MUJOCO_GL", "value": "osmesa"},
    ]
    for section, component in (("learner", "learner"), ("parameterServer", "parameter-server")):
        (container,) = render({section: {"extraEnv": extra}}).component(component)["spec"]["template"]["spec"][
            "containers"
        ]
        found = [(variable["name"], variable["value"]) for variable in container["env"]]
        assert len(dict(found)) == len(found)
        assert dict(found)["ADQL_LOG_FORMAT"] == "json" and dict(found)["MUJOCO_GL"] == "osmesa"
        assert "ADQL_TOKEN_FILE" in dict(found)


def test_no_variable_stands_twice(rendered):
    for name, container in rendered.containers():
        names = [variable["name"] for variable in container.get("env", ())]
        assert len(names) == len(set(names)), name


def test_placement_reaches_every_pod_that_it_is_said_for():
    wanted = FEATURES["placement"]["learner"]
    for component in COMPONENTS:
        pod = render(FEATURES["placement"]).component(component)["spec"]["template"]
        assert pod["spec"]["runtimeClassName"] == "sandboxed"
        for key in ("nodeSelector", "tolerations", "affinity", "priorityClassName", "terminationGracePeriodSeconds"):
            assert pod["spec"][key] == wanted[key]
        assert pod["spec"]["containers"][0]["resources"] == wanted["resources"]
        assert pod["metadata"]["labels"]["team"] == "rl"
        assert pod["metadata"]["annotations"]["example.org/owner"] == "somebody"


def test_helm_test_runs_where_learners_run_with_what_their_environment_needs():
    card = FEATURES["graphics cards"]
    rendered = render(merged(FEATURES["placement"], FEATURES["extras"], card))
    learner, pod = rendered.component("learner")["spec"]["template"]["spec"], dict(rendered.pods())["adql-test"]["spec"]
    for key in ("nodeSelector", "tolerations", "priorityClassName", "runtimeClassName"):
        assert pod[key] == learner[key]
    assert "affinity" not in pod
    (container,), (own,) = pod["containers"], learner["containers"]
    roms = {"name": "roms", "emptyDir": {"sizeLimit": "1Gi"}}
    assert roms in pod["volumes"] and {"name": "roms", "mountPath": "/roms"} in container["volumeMounts"]
    assert {"name": "EXTRA", "value": "1"} in container["env"]
    assert container["resources"] == {"requests": {"cpu": "50m", "memory": "96Mi"}, "limits": {"memory": "2Gi"}}
    assert own["resources"]["limits"]["nvidia.com/gpu"] == 1


def test_graphics_cards_are_asked_for_beside_the_memory_limit():
    (container,) = render(FEATURES["graphics cards"]).component("learner")["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == {"memory": "512Mi", "nvidia.com/gpu": 1}


def test_every_mount_has_its_volume_and_every_volume_its_mount(rendered):
    for name, pod in rendered.pods():
        claims = {"data"} if name.rpartition("adql-")[2] in ("parameter-server", "replay", "valkey") else set()
        claims |= {"data"} if name.startswith("learning-") and "data" in str(pod["spec"]["containers"]) else set()
        mounts = {mount["name"] for one in pod["spec"]["containers"] for mount in one["volumeMounts"]}
        assert mounts - claims == {volume["name"] for volume in pod["spec"]["volumes"]}, name
