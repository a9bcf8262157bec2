"""What is wrong around a release is told with the way out, nothing is lost meanwhile, and the way out works."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.cluster.commands import CHART, Helm, Kubectl, images, run
from tests.cluster.release import NEVER, POLL_SECONDS, Release
from tests.system.launched import adql
from tests.waiting import wait_until

STORE = """
apiVersion: v1
kind: Pod
metadata: {name: store, labels: {name: store}}
spec:
  automountServiceAccountToken: false
  securityContext: {runAsNonRoot: true, runAsUser: 10001, seccompProfile: {type: RuntimeDefault}}
  containers:
    - name: store
      image: valkey/valkey:9.1
      command: [valkey-server, --dir, /data, --save, "", --protected-mode, "no"]
      securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
      volumeMounts: [{name: data, mountPath: /data}]
  volumes: [{name: data, emptyDir: {}}]
---
apiVersion: v1
kind: Service
metadata: {name: store}
spec: {selector: {name: store}, ports: [{port: 6379}]}
"""
"""A store as many have it: nothing of it survives."""
ON_STORE = ("--set", "valkey.enabled=false,redis.external.url=redis://store:6379/0,evaluator.enabled=false")
DEFAULT = "storageclass.kubernetes.io/is-default-class"


def status(kubectl: Kubectl) -> str:
    """What ``adql k8s status`` says."""
    return adql("k8s", "status", "--namespace", kubectl.namespace).stdout


def installed(kubectl: Kubectl, *words: str) -> Release:
    """A release of which nobody knows whether it will be well."""
    Helm("helm", kubectl.namespace)("install", "adql", CHART, *images(), *NEVER, *words)
    return Release(kubectl)


def is_told(kubectl: Kubectl, words: str) -> None:
    """Waits until ``adql k8s status`` says ``words``."""
    wait_until(lambda: words in status(kubectl), 120, lambda: f"{words}\n{status(kubectl)}", every=POLL_SECONDS)


def claims(kubectl: Kubectl) -> list[Any]:
    """The claims of a namespace."""
    return list(kubectl.get("persistentvolumeclaims")["items"])


@contextmanager
def no_default_class() -> Iterator[None]:
    """A cluster without a default StorageClass."""
    classes = json.loads(run("kubectl", "get", "storageclass", "--output", "json"))["items"]
    default = [one["metadata"]["name"] for one in classes if one["metadata"]["annotations"].get(DEFAULT) == "true"]
    assert default
    run("kubectl", "annotate", "--overwrite", "storageclass", *default, f"{DEFAULT}=false")
    try:
        yield
    finally:
        run("kubectl", "annotate", "--overwrite", "storageclass", *default, f"{DEFAULT}=true")


def test_cluster_without_a_default_storage_class_is_told_and_goes_on_once_it_has_one(kubectl):
    with no_default_class():
        release = installed(kubectl)
        is_told(kubectl, "names no StorageClass and the cluster has no default one")
        said = status(kubectl)
        for section in ("parameterServer", "replay", "valkey"):
            assert f"name one by {section}.persistence.storageClass at install, or make one the default" in said
    release.wait_until(lambda: all(claim["spec"].get("storageClassName") for claim in claims(kubectl)), 60)
    # A scheduler that looked at a claim in the instant of that change looks again when it changes, or after 5 min.
    kubectl("annotate", "persistentvolumeclaims", "--all", "adql-test/class=given")
    release.wait_ready(None, 6)
    release.wait_for_progress()


def set_store(kubectl: Kubectl, **settings: str) -> None:
    """Sets the store while it runs."""
    for name, value in settings.items():
        kubectl("exec", "store", "--", "valkey-cli", "config", "set", name.replace("_", "-"), value)


def test_store_that_would_lose_updates_or_is_full_is_told_and_nothing_is_lost(kubectl):
    kubectl("apply", "--filename", "-", text=STORE)
    release = installed(kubectl, *ON_STORE)
    is_told(kubectl, "appendonly")
    assert "acknowledged updates could be lost: change it there" in status(kubectl)
    set_store(kubectl, appendonly="yes", appendfsync="always", maxmemory_policy="noeviction")
    set_store(kubectl, auto_aof_rewrite_min_size="256mb")
    kubectl("delete", "pod", "adql-parameter-server-0")  # who waits for a pod that ended often need not
    release.wait_ready(None, 4)
    release.wait_for_progress()

    set_store(kubectl, maxmemory="1mb")
    is_told(kubectl, "maxmemory")
    stood_at = release.run()["state"]
    assert stood_at["durable_version"] <= stood_at["version"]
    set_store(kubectl, maxmemory="100mb")
    release.wait_ready(None, 4)
    release.wait_for_progress()
    state = release.run()["state"]
    assert (state["epoch"], state["run_id"]) == (stood_at["epoch"], stood_at["run_id"])
    assert state["durable_version"] >= stood_at["version"]
    assert release.restarts() == 0


def test_secret_that_is_not_there_is_told_by_its_name(kubectl):
    installed(kubectl, "--set", "auth.existingSecret=mine,learner.replicaCount=0,evaluator.enabled=false")
    is_told(kubectl, 'secret "mine" not found')
    kubectl("create", "secret", "generic", "mine", f"--from-literal=tokens={'a' * 64}")
    Release(kubectl).wait_ready(None, 3)


def test_cluster_that_does_not_answer_is_one_line(tmp_path):
    nowhere = {"clusters": [{"name": "n", "cluster": {"server": "https://127.0.0.1:1"}}], "current-context": "n"}
    nowhere |= {
        "contexts": [{"name": "n", "context": {"cluster": "n", "user": "n"}}],
        "users": [{"name": "n", "user": {}}],
    }
    (tmp_path / "config").write_text(json.dumps({"apiVersion": "v1", "kind": "Config", **nowhere}))
    done = adql("k8s", "status", environ={"KUBECONFIG": str(tmp_path / "config")})
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("adql: error: ") and "127.0.0.1:1" in done.stderr
    helm = subprocess.run(
        ["helm", "install", "adql", CHART, "--kubeconfig", str(tmp_path / "config")], capture_output=True, text=True
    )
    assert helm.returncode != 0 and "127.0.0.1:1" in helm.stderr
