"""Any pod may be deleted: training goes on, and no acknowledged update is lost."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from adql.config import to_yaml
from tests.cluster.checker import CLIENTS
from tests.cluster.commands import ROOT, Helm, Kubectl, load_into_cluster, run
from tests.cluster.release import NEVER, Release, install
from tests.system.updates import counting_run

COMPONENTS = ("learner", "evaluator", "replay", "valkey", "parameter-server")
CHECKER = """
apiVersion: v1
kind: Pod
metadata:
  name: checker
  labels: {{app.kubernetes.io/name: adql, app.kubernetes.io/instance: {release}, app.kubernetes.io/component: test}}
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  securityContext: {{runAsNonRoot: true, runAsUser: 10001, seccompProfile: {{type: RuntimeDefault}}}}
  containers:
    - name: checker
      image: {image}
      command: [tini, --, python, -m, tests.cluster.checker]
      env:
        - {{name: ADQL_PARAMETER_SERVER_URL, value: "http://{prefix}-parameter-server:8420"}}
        - {{name: ADQL_TOKEN_FILE, value: /run/secrets/adql/tokens}}
      securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
      volumeMounts: [{{name: tokens, mountPath: /run/secrets/adql, readOnly: true}}]
  volumes: [{{name: tokens, secret: {{secretName: {prefix}-tokens}}}}]
"""


@pytest.fixture(scope="session")
def checker_image(cluster, built_images):
    """The service's image with the tests beside it."""
    name = f"adql/checker:{built_images}"
    dockerfile = f"FROM adql/service:{built_images}\nCOPY tests /checker/tests\nWORKDIR /checker\n"
    with tempfile.TemporaryDirectory() as folder:
        run("cp", "-r", str(ROOT / "tests"), folder)
        Path(folder, "Dockerfile").write_text(dockerfile)
        run("docker", "build", "--quiet", "--tag", name, folder)
    load_into_cluster(name)
    yield name
    run("docker", "image", "rm", name)


@pytest.fixture
def counting(kubectl: Kubectl, tmp_path: Path) -> Release:
    """A release whose parameters count the updates of a checker, without learners of its own."""
    values = tmp_path / "values.yaml"
    run_specification = yaml.safe_load(to_yaml(counting_run(CLIENTS)))
    values.write_text(yaml.safe_dump({"run": run_specification}))
    quiet = ("--set", "learner.replicaCount=0,evaluator.enabled=false")
    return install(Helm("helm", kubectl.namespace), "--values", str(values), *quiet)


@contextmanager
def checked(release: Release, image: str) -> Iterator[None]:
    """Clients push while this is open; then each of their updates is looked for in the parameters."""
    kubectl = release.kubectl
    kubectl("apply", "--filename", "-", text=CHECKER.format(release=release.name, prefix=release.prefix, image=image))
    release.wait_for_progress()
    yield
    kubectl("exec", "checker", "--", "touch", "/tmp/stop")
    release.wait_until(lambda: kubectl.get("pod", "checker")["status"]["phase"] in ("Succeeded", "Failed"), 120)
    said = kubectl("logs", "checker", check=False)
    verdict = (
        json.loads(said.strip().splitlines()[-1])
        if kubectl.get("pod", "checker")["status"]["phase"] == "Succeeded"
        else {}
    )
    assert verdict.get("verdict") == "ok", said
    assert verdict["applied"] > 0


def delete_and_wait(release: Release, component: str) -> None:
    """Deletes the pods of a component, and waits until others are ready and training has gone on."""
    before = release.uids(component)
    release.kubectl("delete", "pod", "--selector", release.selector(component), "--wait=false")
    release.wait_until(lambda: release.uids(component) and not release.uids(component) & before, 120)
    release.wait_ready(component, len(before))
    release.wait_for_progress()


def test_no_acknowledged_update_is_lost_when_server_and_store_are_deleted(counting, checker_image):
    epoch = counting.run()["state"]["epoch"]
    with checked(counting, checker_image):
        for component in ("parameter-server", "valkey", "parameter-server"):
            delete_and_wait(counting, component)
    assert counting.run()["state"]["epoch"] == epoch + 2


def test_training_goes_on_whatever_pod_is_deleted(kubectl):
    release = install(Helm("helm", kubectl.namespace), *NEVER)
    release.wait_for_progress()
    identity = release.run()["started_at"]
    for component in COMPONENTS:
        version = release.version()
        delete_and_wait(release, component)
        assert release.version() > version - 1_000, "the run began anew"
    assert release.run()["started_at"] == identity
    assert release.restarts() == 0


def test_training_goes_on_after_a_drain(kubectl):
    """On one node what is evicted is pending, and the budget keeps the last learner until another one is ready."""
    release = install(Helm("helm", kubectl.namespace), *NEVER)
    release.wait_for_progress()
    node = release.pods("learner")[0]["spec"]["nodeName"]
    ours = f"--pod-selector=app.kubernetes.io/instance={release.name}"
    try:
        said = kubectl(
            "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=30s", ours, check=False
        )
        assert "disruption budget" in said
        phases = {component: [pod["status"]["phase"] for pod in release.pods(component)] for component in COMPONENTS}
        assert sorted(phases.pop("learner")) == ["Pending", "Running"]
        assert set(map(tuple, phases.values())) == {("Pending",)}
    finally:
        kubectl("uncordon", node)
    release.wait_ready(None, 6)
    release.wait_for_progress()
