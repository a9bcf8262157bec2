"""An upgrade rolls what it changes and nothing else, and a token is replaced without a failed push."""

import base64
import shutil

import yaml

from tests.cluster.commands import CHART, Helm, images
from tests.cluster.release import NEVER, install

SECRET_SECONDS = 180
"""Until the kubelet has refreshed a mounted Secret."""


def test_upgrade_rolls_only_what_it_changes(kubectl):
    helm = Helm("helm", kubectl.namespace)
    release = install(helm, *NEVER)
    release.wait_for_progress()
    others, learners = release.uids() - release.uids("learner"), release.uids("learner")
    helm.upgrade("--set", "learner.resources.limits.memory=600Mi")
    release.wait_until(lambda: not release.uids("learner") & learners, 120)
    release.wait_ready("learner", 2)
    assert release.uids() - release.uids("learner") == others
    release.wait_for_progress()


def test_upgrade_to_another_chart_application_and_labels(helm, tmp_path):
    release = install(helm, *NEVER)
    release.wait_for_progress()
    began = release.run()["started_at"]
    chart = tmp_path / "adql"
    shutil.copytree(CHART, chart)
    facts = yaml.safe_load((chart / "Chart.yaml").read_text())
    (chart / "Chart.yaml").write_text(yaml.safe_dump(facts | {"version": "0.2.0", "appVersion": "0.2.0"}))
    pods = release.uids()
    helm("upgrade", "adql", str(chart), "--wait", "--reset-then-reuse-values", *images())
    assert release.uids() == pods, "a new version of the chart alone replaced a pod"
    helm("upgrade", "adql", str(chart), "--wait", "--reset-then-reuse-values", "--set", "commonLabels.team=learning")
    release.wait_ready(None, 6)
    release.wait_for_progress()
    assert release.run()["started_at"] == began


def refresh_secrets(release):
    """A kubelet looks at a pod that changed at once, and at the others' Secrets within two minutes."""
    release.kubectl("annotate", "pods", "--all", "--overwrite", "example.org/looked-at=now")


def tokens(release):
    data = release.kubectl.get("secret", f"{release.prefix}-tokens")["data"]["tokens"]
    return base64.b64decode(data).decode().split()


def mounted(release, pod):
    return release.kubectl("exec", pod, "--", "cat", "/run/secrets/adql/tokens").split()


def test_token_is_replaced_without_a_failed_push(kubectl):
    helm = Helm("helm", kubectl.namespace)
    release = install(helm, *NEVER)
    release.wait_for_progress()
    (former,) = tokens(release)
    pods = release.uids()
    helm.upgrade("--set", "auth.rotation=once")
    assert tokens(release)[1:] == [former]
    assert tokens(release)[0] != former
    refresh_secrets(release)
    for pod in release.pods():
        if pod["metadata"]["labels"]["app.kubernetes.io/component"] != "valkey":
            name = pod["metadata"]["name"]
            release.wait_until(lambda name=name: mounted(release, name) == tokens(release), SECRET_SECONDS)
    release.wait_for_progress()
    assert release.uids() == pods
    assert release.restarts() == 0
    helm.upgrade()
    assert tokens(release)[1:] == [former], "an upgrade without a change made a new token"


def test_another_store_password_reaches_store_and_server_by_itself(kubectl):
    helm = Helm("helm", kubectl.namespace)
    release = install(helm, *NEVER, "--set", "evaluator.enabled=false")
    release.wait_for_progress()
    before = release.run()
    kubectl("delete", "secret", "adql-valkey")
    helm("upgrade", "adql", CHART, "--reset-then-reuse-values")  # the chart makes another one
    refresh_secrets(release)
    release.wait_until(lambda: release.restarts() == 1, SECRET_SECONDS)
    release.wait_ready(None, 5)
    release.wait_for_progress()
    assert release.run()["started_at"] == before["started_at"]
    assert release.version() > before["state"]["version"]
    assert release.restarts() == 1, "more than the store was started again"


def test_tokens_are_in_no_environment_argument_or_log(kubectl):
    helm = Helm("helm", kubectl.namespace)
    release = install(helm, *NEVER)
    release.wait_for_progress()
    password = base64.b64decode(kubectl.get("secret", f"{release.prefix}-valkey")["data"]["password"]).decode()
    secrets = [*tokens(release), password]
    told = kubectl("get", "pods,configmaps,deployments,statefulsets,events", "--output", "yaml")
    for pod in release.pods():
        told += kubectl("logs", pod["metadata"]["name"])
        told += kubectl(
            "exec",
            pod["metadata"]["name"],
            "--",
            "sh",
            "-c",
            "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ",
            check=False,
        )
    assert not [secret for secret in secrets if secret in told]
