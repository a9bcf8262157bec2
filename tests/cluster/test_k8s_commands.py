"""`adql k8s …` at a release on a real cluster: while it trains, when something is wrong, and after its end."""

import json
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import pytest

from tests.cluster.commands import CHART, OF_A_TRAINING, Helm, images
from tests.cluster.conftest import new_namespace
from tests.cluster.release import NEVER, POLL_SECONDS, Release, install
from tests.ports import free_port
from tests.system.launched import ENVIRONMENT, adql
from tests.waiting import wait_until

SMALL = [
    word
    for section in ("parameterServer", "replay", "valkey", "learner", "evaluator")
    for word in ("--set", f"{section}.resources.requests.cpu=10m")
]
"""Where other releases train beside this one there is room for it all the same."""
SOON = ("--set", "run.evaluation.every_learner_steps=500", "--set", "run.evaluation.episodes=2")


@pytest.fixture(scope="module")
def release(cluster: None):
    """A release that trains for as long as its tests do."""
    with new_namespace() as kubectl:
        yield install(Helm("helm", kubectl.namespace), *NEVER, *SOON, *SMALL)


def k8s(release: Release, *words: object, code: int = 0, **settings) -> str:
    done = adql("k8s", *words, "--namespace", release.kubectl.namespace, "--release", release.name, **settings)
    assert done.returncode == code, f"{done.stdout}\n{done.stderr}\n{release.story()}"
    return done.stdout + done.stderr


def evaluated(release: Release) -> None:
    release.wait_until(lambda: release.run().get("evaluations", {}).get("reported"), 180)


def test_status_of_a_release_that_trains(release):
    evaluated(release)
    text = k8s(release, "status")
    for component, count in (("parameter-server", 1), ("replay", 1), ("valkey", 1), ("learner", 2), ("evaluator", 1)):
        assert re.search(rf"^{component} +{count}/{count} +\d", text, re.MULTILINE)
    assert "run adql: running, 2 learners" in text and "greedy mean return" in text and "goal 501" in text


def test_scale_sets_how_many_learn(release):
    assert "now 1" in k8s(release, "scale", 1)
    release.wait_ready("learner", 1)
    assert release.replicas() == 1
    k8s(release, "scale", 0)
    release.wait_ready("learner", 0)
    assert "no learner is asked for, so nothing is learned: `adql k8s scale 2`" in k8s(release, "status", code=1)
    k8s(release, "scale", 2)
    release.wait_ready("learner", 2)
    release.wait_for_progress()


def test_logs_stand_after_the_names_of_their_pods(release):
    lines = k8s(release, "logs", "learner", "--tail", 1).splitlines()
    names = {pod["metadata"]["name"] for pod in release.pods("learner")}
    assert {line.split("] ")[0].removeprefix("[") for line in lines} == names


@contextmanager
def under_way(release: Release, *words: str) -> Iterator[TextIO]:
    """Yields the output of a command that goes on until Ctrl-C, and types that."""
    interruptible = ("env", "--default-signal=INT")  # also where the tests themselves run in the background
    command = [*interruptible, sys.executable, "-m", "adql_services.cli", "k8s", *words]
    command += ["--namespace", release.kubectl.namespace]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=ENVIRONMENT, text=True) as process:
        try:
            yield process.stdout
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 128 + signal.SIGINT
        finally:
            process.kill()


def test_logs_are_followed_until_ctrl_c(release):
    with under_way(release, "logs", "--follow") as output:
        assert output.readline().startswith("[adql-")


def test_port_leads_to_the_parameter_server(release):
    port = free_port()
    with under_way(release, "port-forward", "parameter-server", "--side", "--port", str(port)) as output:
        assert f"http://127.0.0.1:{port} leads to adql-parameter-server-0, port 8421" in output.readline()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=30) as answer:
            assert answer.read() == b"ready\n"


def downloaded(release: Release, path: Path) -> dict:
    k8s(release, "download", path)
    assert {part.name for part in path.iterdir()} - {"activity.json"} == OF_A_TRAINING
    assert json.loads(adql("evaluate", path, "--episodes", 2, "--json").stdout)["episodes"] == 2
    assert path.stat().st_mode & 0o777 == 0o755
    return json.loads((path / "summary.json").read_text())


def test_download_while_it_trains_makes_the_folder_of_a_training(release, tmp_path):
    evaluated(release)
    summary = downloaded(release, tmp_path / "run")
    assert (summary["status"], summary["goal"], summary["cpu_seconds"]) == ("running", 501, None)
    assert summary["environment_steps"] > 0 and summary["wall_seconds"] > 0.0
    assert set(summary["activity_seconds"]) >= {"learner-0"}
    assert len((tmp_path / "run" / "episodes.csv").read_text().splitlines()) > 10
    assert "Training return" in (tmp_path / "run" / "report.html").read_text()


def test_folder_that_holds_something_is_left_alone(release, tmp_path):
    (tmp_path / "kept").touch()
    assert "is there and not empty" in k8s(release, "download", tmp_path, code=2)
    assert [part.name for part in tmp_path.iterdir()] == ["kept"]


def test_who_may_not_look_is_told_so_in_one_line(release, tmp_path):
    release.kubectl("create", "serviceaccount", "nobody")
    token = release.kubectl("create", "token", "nobody").strip()
    config = json.loads(release.kubectl("config", "view", "--raw", "--flatten", "--minify", "--output", "json"))
    config["users"][0]["user"] = {"token": token}
    (tmp_path / "config").write_text(json.dumps(config))
    said = k8s(release, "status", code=1, environ={"KUBECONFIG": str(tmp_path / "config")})
    assert re.fullmatch(
        r"adql: error: .*forbidden.*; ask who runs the cluster for the right to, or .*--context\n", said
    )


@pytest.mark.parametrize(
    ("words", "part"), [(["--release", "other"], "no release other"), (["-n", "none"], "no release")]
)
def test_release_that_is_not_there_is_told_where_there_is_one(release, words, part):
    done = adql("k8s", "status", "-n", release.kubectl.namespace, *words)
    assert done.returncode == 2 and part in done.stderr
    assert f"adql in namespace {release.kubectl.namespace}" in done.stderr and done.stderr.count("\n") == 1


def test_image_that_cannot_be_pulled_is_told_with_how_to_make_it(release):
    release.kubectl("set", "image", "deployment/adql-learner", "learner=adql/learner:nowhere")
    release.wait_until(lambda: "make images" in adql_status(release), 120)
    assert "`kind load docker-image adql/learner:nowhere`" in k8s(release, "status", code=1)
    release.kubectl("rollout", "undo", "deployment/adql-learner")
    release.kubectl("rollout", "status", "deployment/adql-learner")


def test_wrong_token_is_told_with_the_secret_to_look_at(release):
    release.kubectl("create", "secret", "generic", "other", "--from-literal=tokens=wrong")
    deployment = release.kubectl.get("deployment/adql-learner")
    volumes = deployment["spec"]["template"]["spec"]["volumes"]
    number = next(n for n, one in enumerate(volumes) if one.get("secret", {}).get("secretName") == "adql-tokens")
    path = f"/spec/template/spec/volumes/{number}/secret/secretName"
    patch = [{"op": "replace", "path": path, "value": "other"}]
    release.kubectl("patch", "deployment/adql-learner", "--type=json", "--patch", json.dumps(patch))
    release.wait_until(lambda: "auth.existingSecret" in adql_status(release), 120)
    release.kubectl("rollout", "undo", "deployment/adql-learner")
    release.kubectl("rollout", "status", "deployment/adql-learner")


def test_volume_that_cannot_be_written_is_told_by_its_component_and_training_goes_on(release):
    wait_until(lambda: "!" not in adql_status(release), 60, lambda: adql_status(release), every=POLL_SECONDS)
    stateful = ("parameter-server", "replay")
    for component in stateful:
        release.kubectl("exec", f"adql-{component}-0", "--", "chmod", "-R", "a-w", "/data/adql")
    said = k8s(release, "status", code=1)
    for component in stateful:
        assert f"! the volume of {component} cannot be written (Permission denied)" in said
    release.wait_for_progress()
    for component in stateful:
        release.kubectl("exec", f"adql-{component}-0", "--", "chmod", "-R", "u+w", "/data/adql")
    wait_until(lambda: "!" not in adql_status(release), 120, lambda: adql_status(release), every=POLL_SECONDS)


def test_store_that_lost_the_run_is_put_back_by_one_command(release):
    assert "has lost nothing" in k8s(release, "restore", code=2)
    epoch = release.run()["state"]["epoch"]
    lose_store(release)
    release.wait_until(lambda: "on Kubernetes with `adql k8s restore`" in adql_status(release), 120)
    assert "its parameter server goes on with it" in k8s(release, "restore")
    release.wait_ready("parameter-server", 1)
    assert release.run()["state"]["epoch"] > epoch
    release.wait_for_progress()
    assert "not found" in release.kubectl("get", "pod", "adql-parameter-server-restore", check=False)


def lose_store(release: Release) -> None:
    """Empties the store while no server is there to write it again."""
    release.kubectl("scale", "statefulset", "adql-parameter-server", "--replicas=0")
    release.kubectl("wait", "--for=delete", "pod/adql-parameter-server-0", "--timeout=120s")
    release.kubectl("exec", "adql-valkey-0", "--", "sh", "-c", "rm -r /data/*")
    release.kubectl("delete", "pod", "adql-valkey-0", "--grace-period=0", "--force")
    release.wait_ready("valkey", 1)
    release.kubectl("scale", "statefulset", "adql-parameter-server", "--replicas=1")


def test_download_of_a_run_that_is_over_needs_no_evaluator(release, tmp_path):
    helm = Helm("helm", release.kubectl.namespace)
    short = ("--set", "run.run.name=short", "--set", "run.training.environment_steps=4000", "--force-conflicts")
    helm.upgrade("--set", "run.training.goal=501", *short)
    release.wait_until(lambda: release.run().get("state", {}).get("status") == "budget", 240)
    evaluated(release)
    release.kubectl("delete", "deployment", "adql-evaluator")
    release.wait_until(lambda: not release.pods("evaluator"), 60)
    summary = downloaded(release, tmp_path / "run")
    assert (summary["name"], summary["status"]) == ("short", "budget")
    assert "run short: budget" in k8s(release, "status")


def test_downloaded_run_goes_on_locally(release, tmp_path):
    evaluated(release)
    k8s(release, "download", tmp_path / "run")
    assert adql("restore", tmp_path / "run").returncode == 0
    steps = json.loads((tmp_path / "run" / "summary.json").read_text())["environment_steps"]
    done = adql("resume", tmp_path / "run", f"training.environment_steps={steps + 1}", seconds=300)
    assert done.returncode == 0, done.stderr


def test_parameter_server_without_a_volume_is_told_with_its_claim(release):
    helm, parked = Helm("helm", release.kubectl.namespace), Release(release.kubectl, "parked-adql")
    lost = ("--set", "parameterServer.persistence.storageClass=nowhere", "--set", "learner.replicaCount=0")
    helm("install", parked.name, CHART, *images(), *SMALL, *lost)
    release.wait_until(lambda: "is pending" in adql_status(parked), 60)
    said = k8s(parked, "status", code=1)
    assert "run: no parameter-server of release parked-adql runs" in said
    assert "asks for StorageClass nowhere, which does not exist: there are standard" in said
    assert f"`adql k8s status --release {parked.name}` says why" in k8s(parked, "download", "/tmp/never-made", code=1)
    helm("uninstall", parked.name)


def adql_status(release: Release) -> str:
    done = adql("k8s", "status", "-n", release.kubectl.namespace, "--release", release.name)
    return done.stdout + done.stderr
