"""The controller's objects: one pod that may change one number and nothing else."""

import subprocess
import sys

import pytest

from adql.config import ControllerSettings, load_settings
from tests.deploy.features import CASES, FEATURES
from tests.deploy.rendering import Object, Rendered, merged, render, values_of
from tests.deploy.test_network_policies import INTENDED, between_pods, outside

VALUES = FEATURES["controller"]
OWN = {("controller", "parameter-server", 8420), ("controller", "replay", 8430)}
RBAC = ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")


def container(rendered: Rendered) -> Object:
    (found,) = rendered.component("controller")["spec"]["template"]["spec"]["containers"]
    return found


def variables(rendered: Rendered) -> dict[str, str]:
    return {one["name"]: one["value"] for one in container(rendered)["env"]}


@pytest.mark.parametrize("feature", CASES)
def test_there_is_a_role_only_with_the_controller_and_never_for_the_cluster(feature):
    rendered = render(CASES[feature])
    wanted = bool(CASES[feature].get("controller", {}).get("enabled"))
    assert {kind: len(rendered.of(kind)) for kind in RBAC} == {
        "Role": wanted,
        "RoleBinding": wanted,
        "ClusterRole": 0,
        "ClusterRoleBinding": 0,
    }
    assert any(name.endswith("-controller") for name in rendered.of("Deployment")) == wanted


def test_role_is_the_scale_of_the_learners_and_events():
    assert render(VALUES).the("Role", "adql-controller")["rules"] == [
        {
            "apiGroups": ["apps"],
            "resources": ["deployments/scale"],
            "resourceNames": ["adql-learner"],
            "verbs": ["get", "patch", "update"],
        },
        {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]},
    ]


def test_role_is_bound_to_the_account_of_the_controllers_pod_and_to_no_other():
    rendered = render(VALUES)
    (binding,) = rendered.of("RoleBinding").values()
    subject = {"kind": "ServiceAccount", "name": "adql-controller", "namespace": "training"}
    assert binding["subjects"] == [subject] and binding["roleRef"]["name"] == "adql-controller"
    accounts = {name: pod["spec"]["serviceAccountName"] for name, pod in rendered.pods()}
    assert [name for name, account in accounts.items() if account == "adql-controller"] == ["adql-controller"]


def test_account_may_be_one_that_is_there():
    own = {"controller": {"serviceAccount": {"create": False, "name": "mine"}}}
    rendered = render(merged(VALUES, own))
    assert list(rendered.of("ServiceAccount")) == ["adql"]
    assert rendered.component("controller")["spec"]["template"]["spec"]["serviceAccountName"] == "mine"
    assert rendered.the("RoleBinding", "adql-controller")["subjects"][0]["name"] == "mine"


def test_token_is_mounted_in_its_pod_where_the_client_looks_for_it():
    rendered = render(VALUES)
    pod = rendered.component("controller")["spec"]["template"]["spec"]
    (volume,) = [one for one in pod["volumes"] if "projected" in one]
    (mount,) = [one for one in container(rendered)["volumeMounts"] if one["name"] == volume["name"]]
    assert mount == {
        "name": volume["name"],
        "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
        "readOnly": True,
    }
    names = [next(iter(source)) for source in volume["projected"]["sources"]]
    assert names == ["serviceAccountToken", "configMap", "downwardAPI"]


def test_it_asks_the_two_services_and_the_api_server_and_nobody_asks_it():
    rendered = render(VALUES)
    assert between_pods(rendered, "ingress") == between_pods(rendered, "egress") == INTENDED | OWN
    dns, api = outside(rendered, "controller", "egress")
    assert [port["port"] for port in dns["ports"]] == [53, 53]
    assert api == {"to": [{"ipBlock": {"cidr": "10.0.0.1/32"}}], "ports": [{"port": 443}, {"port": 6443}]}
    assert not any("ipBlock" in str(outside(rendered, one, "egress")) for one in ("learner", "evaluator", "test"))


def test_there_is_one_and_never_two():
    spec = render(VALUES).component("controller")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_its_values_are_its_settings():
    numbers = {
        "minReplicas": 2,
        "maxReplicas": 5,
        "intervalSeconds": 3,
        "windowSeconds": 20,
        "coolDownSeconds": 7,
        "startSeconds": 90,
        "retrySeconds": 600,
        "scaleToZeroWhenDone": True,
    }
    values = merged(VALUES, {"controller": numbers, "learner": {"role": "actor"}})
    settings = load_settings(ControllerSettings, environ=variables(render(values)))
    assert settings.model_dump(include={"namespace", "deployment", "role"}) == {
        "namespace": "training",
        "deployment": "adql-learner",
        "role": "actor",
    }
    told = {key: getattr(settings, _snake(key)) for key in numbers}
    assert told == numbers


def test_its_defaults_are_those_of_its_settings():
    settings = load_settings(ControllerSettings, environ=variables(render(VALUES)))
    ours = ("min", "max", "interval", "window", "cool", "start", "retry", "scale")
    names = [name for name in ControllerSettings.model_fields if name.startswith(ours)]
    assert {name: getattr(settings, name) for name in names} == {
        name: getattr(ControllerSettings(), name) for name in names
    }


def _snake(key: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in key)


def test_another_run_does_not_start_it_anew():
    """It remembers how many learners there were before the end of the former one."""
    former, other = (render(merged(VALUES, {"run": {"run": {"name": name}}})) for name in ("former", "other"))
    assert former.component("controller") == other.component("controller")
    assert former.component("learner") != other.component("learner")


def test_it_has_the_image_that_has_the_kubernetes_client():
    assert container(render(VALUES))["image"].startswith("adql/service:")
    assert container(render(VALUES))["args"] == ["controller"]


def test_number_of_learners_is_not_rendered_beside_it():
    assert "replicas" not in render(VALUES).component("learner")["spec"]
    assert "The number of learners is set by the controller." in render(VALUES).notes


def test_where_no_policy_is_wanted_no_address_is_needed():
    rendered = render(values_of("controller.enabled=true", "networkPolicy.enabled=false"))
    assert rendered.component("controller") and not rendered.of("NetworkPolicy")


def test_command_line_knows_its_words():
    command = [sys.executable, "-m", "adql_services.cli", "controller", "--help"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "ADQL_SCALE_TO_ZERO_WHEN_DONE=False" in said and "ADQL_DEPLOYMENT=adql-learner" in said
