"""What docker-compose.yml says: confined containers, a default for every variable, no secret in sight."""

import re
from pathlib import Path

import pytest
import yaml

from adql.config import (
    EvaluatorSettings,
    LearnerSettings,
    ParameterServerSettings,
    ReplayServerSettings,
    load_settings,
    load_specification,
)
from adql.config.variables import check_names
from tests.deploy.shipped import ROOT

TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load(TEXT)
SERVICES = COMPOSE["services"]
EXAMPLE = dict(re.findall(r"^(\w+)=(.*)$", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE))
VARIABLE = re.compile(r"\$\{(\w+)(?::-([^${}]*))?\}")
"""The innermost ones: a default may hold others."""
SETTINGS = {
    "parameter-server": ParameterServerSettings,
    "replay": ReplayServerSettings,
    "learner": LearnerSettings,
    "evaluator": EvaluatorSettings,
}
MOST_SECONDS = 30
every_service = pytest.mark.parametrize("name", SERVICES)
ONCE = {"prepare", "results"}
"""Those that do one thing and end."""
every_lasting_service = pytest.mark.parametrize("name", sorted(SERVICES.keys() - ONCE))


def resolved(text: str) -> str:
    """Returns ``text`` as it is without any .env."""
    while VARIABLE.search(text):
        text = VARIABLE.sub(lambda found: found[2] or "", text)
    return text


def seconds(text: str) -> int:
    return int(text.removesuffix("s"))


def mounts(name: str) -> dict[str, dict]:
    """Returns what ``name`` mounts, by target, in the long form."""
    found = {}
    for mount in SERVICES[name].get("volumes", []):
        if isinstance(mount, str):
            source, target, *mode = mount.split(":")
            mount = {"type": "volume", "source": source, "target": target, "read_only": mode == ["ro"]}
        found[mount["target"]] = mount
    return found


def users_of(volume: str) -> set[str]:
    return {name for name in SERVICES if any(mount.get("source") == volume for mount in mounts(name).values())}


def test_all_services_are_there():
    shown = {"prometheus", "grafana", "curves"}
    assert SERVICES.keys() == {*ONCE, "valkey", *SETTINGS, *shown}


@every_service
def test_container_has_no_rights_and_a_root_that_nobody_writes_to(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"] and "cap_add" not in service and "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]


@every_service
def test_container_has_a_memory_limit_and_logs_that_end(name):
    assert re.fullmatch(r"\d+[mg]", resolved(SERVICES[name]["mem_limit"]))
    assert SERVICES[name]["logging"]["options"].keys() == {"max-size", "max-file"}


@every_service
def test_service_can_be_scaled_and_run_beside_another_project(name):
    assert "container_name" not in SERVICES[name] and "hostname" not in SERVICES[name]


@every_lasting_service
def test_service_has_a_health_check_and_is_started_again(name):
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"] and seconds(service["healthcheck"]["interval"]) <= 5


@every_service
def test_image_is_ours_and_built_here_or_has_a_version(name):
    image = resolved(SERVICES[name]["image"])
    assert ":" in image and not image.endswith(":latest")
    if image.startswith("adql/"):
        assert SERVICES[name]["pull_policy"] == "never"


def test_each_image_of_ours_is_built_once_from_its_target():
    built = {resolved(s["image"]): resolved(s["build"]["target"]) for s in SERVICES.values() if "build" in s}
    used = {image for s in SERVICES.values() if (image := resolved(s["image"])).startswith("adql/")}
    assert built.keys() == used
    assert all(image.startswith(f"adql/{target}:") for image, target in built.items())
    targets = re.findall(r"^FROM \S+ AS (\S+)", (ROOT / "docker/Dockerfile").read_text(), re.MULTILINE)
    assert {*built.values(), "learner-torch"} <= set(targets)


def test_every_variable_has_a_default_and_stands_with_it_in_the_example():
    used = {*VARIABLE.findall(TEXT), *VARIABLE.findall(VARIABLE.sub("", TEXT))} - {("VARIABLE", "default")}
    assert dict(used) | {"ADQL_LEARNER_IMAGE": ""} == EXAMPLE  # its default is made of others
    assert len(used) == len(EXAMPLE), "a variable has two defaults"


def test_own_image_is_that_of_learners_and_evaluator_and_nobody_builds_over_it():
    own = {name for name, service in SERVICES.items() if "ADQL_LEARNER_IMAGE" in service["image"]}
    assert own == {"learner", "evaluator"}
    assert not any("build" in SERVICES[name] for name in own)
    assert all(SERVICES[name]["pull_policy"] == "never" for name in own)


def test_variables_of_the_example_do_no_harm_where_the_program_sees_them():
    check_names(EXAMPLE)


def test_tag_is_the_version_of_the_project():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert EXAMPLE["ADQL_TAG"] == re.search(r'^version = "(.*)"', project, re.MULTILINE)[1]


def test_ports_are_variables_and_published_to_this_machine_alone():
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert ports == {
        "grafana": ["${ADQL_BIND:-127.0.0.1}:${ADQL_GRAFANA_PORT:-3000}:3000"],
        "prometheus": ["${ADQL_BIND:-127.0.0.1}:${ADQL_PROMETHEUS_PORT:-9090}:9090"],
    }


@pytest.mark.parametrize("name", SETTINGS)
def test_variables_of_a_service_are_settings_that_it_has(name):
    environment = {key: resolved(value) for key, value in SERVICES[name]["environment"].items()}
    settings = load_settings(SETTINGS[name], {}, environment)
    assert {key for key in environment if "__" not in key} == {
        f"ADQL_{field.upper()}" for field in settings.model_fields_set
    }
    assert SERVICES[name]["healthcheck"]["test"] == ["CMD", "adql", "probe"] and settings.side.startswith(
        "http://0.0.0.0:"
    )


def test_run_specification_is_whole_and_named_by_the_variable_alone():
    file = ROOT / EXAMPLE["ADQL_RUN_FILE"]
    assert load_specification(file, environ={}).environment.id == "CartPole-v1"
    assert "name:" not in file.read_text(encoding="utf-8")
    for name in SETTINGS:
        assert SERVICES[name]["environment"]["ADQL_RUN__NAME"] == "${ADQL_RUN:-adql}"
        assert SERVICES[name]["command"] == [name, "/etc/adql/run.yaml"]
        assert mounts(name)["/etc/adql/run.yaml"]["read_only"]


def test_servers_wait_for_what_they_need_and_learners_for_both_servers():
    def waits(name):
        return {other: given["condition"] for other, given in SERVICES[name].get("depends_on", {}).items()}

    assert waits("valkey") == waits("replay") == {"prepare": "service_completed_successfully"}
    assert waits("parameter-server") == {"valkey": "service_healthy"}
    both = {"parameter-server": "service_healthy", "replay": "service_healthy"}
    assert waits("learner") == waits("evaluator") == both
    assert set(waits("curves").values()) == {"service_healthy"}
    assert SERVICES["curves"]["depends_on"]["grafana"]["required"] is False


def longest_end(name: str) -> int:
    """Returns the most seconds until ``name`` has ended: what depends on it ends before it."""
    after = [other for other, service in SERVICES.items() if name in service.get("depends_on", {})]
    return max(map(longest_end, after), default=0) + seconds(SERVICES[name].get("stop_grace_period", "0s"))


def test_all_end_within_thirty_seconds_at_the_worst():
    assert 10 <= seconds(SERVICES["parameter-server"]["stop_grace_period"])
    assert max(longest_end(name) for name in SERVICES.keys() - ONCE) <= MOST_SECONDS


def test_secrets_are_files_that_only_those_who_need_them_mount():
    assert users_of("tokens") == {*ONCE, *SETTINGS}
    assert users_of("store-password") == {"prepare", "valkey", "parameter-server"}
    for name in SERVICES.keys() - {"prepare"}:
        assert all(m["read_only"] for m in mounts(name).values() if m["target"].startswith("/run/secrets"))
    stated = [value for service in SERVICES.values() for value in service.get("environment", {}).values()]
    assert not [
        value for value in stated if re.search(r"password|secret|token", value) and not value.startswith("/run/")
    ]


def test_only_the_parameter_server_reaches_the_store():
    assert COMPOSE["networks"] == {"store": {"internal": True}}
    assert {name for name, service in SERVICES.items() if "store" in service.get("networks", [])} == {
        "valkey",
        "parameter-server",
    }
    assert SERVICES["valkey"]["networks"] == ["store"] and SERVICES["prepare"]["network_mode"] == "none"


def test_what_is_kept_is_in_named_volumes():
    kept = {"valkey", "parameter-server", "replay", "prometheus", "grafana"}
    assert COMPOSE["volumes"].keys() == kept | {"tokens", "store-password"}
    assert all(any(not m.get("read_only") for m in mounts(name).values() if m["source"] == name) for name in kept)


@every_service
def test_mounted_files_are_in_the_checkout(name):
    for mount in mounts(name).values():
        if mount["type"] == "bind":
            assert (ROOT / resolved(mount["source"])).exists() and mount["read_only"], mount


def test_store_is_started_and_asked_as_the_chart_does_it():
    script = mounts("valkey")["/etc/adql/valkey.sh"]["source"]
    charts = (ROOT / "charts/adql/templates/_valkey.tpl").read_text(encoding="utf-8")
    assert script.removeprefix("./charts/adql/") in charts
    assert SERVICES["valkey"]["healthcheck"]["test"][1] in charts
    variables = set(SERVICES["valkey"]["environment"])
    assert variables == set(re.findall(r"^([A-Z_]+): ", charts, re.MULTILINE))


def test_store_runs_as_the_owner_of_its_volume():
    dockerfile = (ROOT / "docker/Dockerfile").read_text(encoding="utf-8")
    assert f"USER {SERVICES['valkey']['user']}\n" in dockerfile
    owned = re.search(r"install --directory --owner adql .*", dockerfile)[0].split()
    assert {"/data", "/run/secrets/adql", "/run/secrets/store"} <= set(owned)
    volumes = [mount for mount in mounts("valkey").values() if mount["type"] == "volume"]
    assert all(mount["volume"]["nocopy"] for mount in volumes)  # else the folder of its own image sets another owner
    assert "valkey" in {mount["source"] for mount in mounts("prepare").values()}


def test_line_about_the_curves_leads_to_a_dashboard_that_there_is():
    address = SERVICES["curves"]["environment"]["GRAFANA"]
    uids = re.findall(r'"uid": "(adql-\w+)"', (ROOT / "charts/adql/dashboards/learning.json").read_text())
    assert Path(address).name in uids
