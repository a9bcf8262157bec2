"""The controller against a real API server: what it does to the learners, and all that it cannot do."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.commands import Helm, run
from tests.cluster.conftest import new_namespace
from tests.cluster.release import NEVER, Release, install

FAST = {"intervalSeconds": 1, "windowSeconds": 10, "coolDownSeconds": 10, "startSeconds": 120, "maxReplicas": 4}
ACCOUNT = "adql-controller"
PAGE = """
import urllib.request
print(urllib.request.urlopen("http://127.0.0.1:8461/metrics", timeout=10).read().decode())
"""


def words(*settings: str) -> list[str]:
    """Returns what switches a quick controller on, for ``--set``."""
    path = "jsonpath={.endpoints[0].addresses[0]}"
    address = run("kubectl", "get", "endpointslice", "kubernetes", "--namespace", "default", "--output", path)
    values = [f"controller.{key}={value}" for key, value in FAST.items()]
    values += ["controller.enabled=true", "evaluator.enabled=false", f"networkPolicy.apiServer.cidrs={{{address}/32}}"]
    return [word for value in (*values, *settings) for word in ("--set", value)]


@pytest.fixture(scope="module")
def release(cluster) -> Iterator[Release]:
    """A run that never ends, with a controller; each test begins by scaling."""
    with new_namespace() as kubectl:
        yield install(Helm("helm", kubectl.namespace), *NEVER, *words())


def events(release: Release) -> list[Any]:
    """Returns what the controller told of the learners, the newest last."""
    selector = "involvedObject.kind=Deployment,involvedObject.name=adql-learner,source=adql-controller"
    found = release.kubectl.get("events", "--field-selector", selector)["items"]
    return sorted(found, key=lambda one: int(one["metadata"]["resourceVersion"]))


def messages(release: Release) -> list[str]:
    return [one["message"] for one in events(release)]


def metric(release: Release, sample: str) -> float:
    """Returns a sample of the controller's page, −1 while there is none."""
    page = release.kubectl("exec", "deployment/adql-controller", "--", "python", "-c", PAGE, check=False)
    found = re.search(rf"^{re.escape(sample)} (\S+)$", page, re.MULTILINE)
    return float(found[1]) if found else -1.0


def test_learners_are_added_to_a_run_that_never_ends_and_an_event_says_why(release):
    told = len(events(release))
    release.scale(1)
    release.wait_until(lambda: any("1 to 2 learners (growth)" in one for one in messages(release)[told:]), 180)
    newest = next(one for one in events(release)[told:] if "(growth)" in one["message"])
    assert (newest["type"], newest["reason"]) == ("Normal", "MoreLearners")
    assert "updates/s" in newest["message"]
    described = release.kubectl("describe", "deployment", "adql-learner")
    assert "MoreLearners" in described
    assert metric(release, 'adql_controller_decisions_total{reason="growth"}') >= 1
    assert metric(release, 'adql_controller_changes_total{outcome="done"}') >= 1


def test_number_that_is_typed_is_where_it_goes_on(release):
    release.scale(3)
    told = len(events(release))
    release.wait_until(lambda: metric(release, "adql_controller_wanted_replicas") == 3 or messages(release)[told:], 60)
    assert all(one.startswith("3 to ") for one in messages(release)[told : told + 1])


def test_zero_that_is_typed_is_a_pause(release):
    release.scale(0)
    paused = 'adql_controller_decisions_total{reason="paused"}'
    before = metric(release, paused)
    release.wait_until(lambda: metric(release, paused) > before + 15, 120)
    assert release.replicas() == 0 and metric(release, "adql_controller_wanted_replicas") == 0
    release.scale(1)
    release.wait_ready("learner", 1)


def test_number_beyond_its_bounds_is_brought_back(release):
    release.scale(6)
    release.wait_until(lambda: release.replicas() == 4, 60)
    assert any(one.startswith("6 to 4 learners (bounds)") for one in messages(release))


def test_range_without_a_number_is_refused_at_the_install(release):
    helm = Helm("helm", release.kubectl.namespace)
    said = helm.refuses("upgrade", "adql", "charts/adql", "--reuse-values", "--set", "controller.minReplicas=9")
    assert "controller.minReplicas 9 is more than controller.maxReplicas 4" in said


ALLOWED = {
    ("get", "deployments.apps/adql-learner", "scale"),
    ("patch", "deployments.apps/adql-learner", "scale"),
    ("update", "deployments.apps/adql-learner", "scale"),
    ("create", "events", ""),
}
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
RESOURCES = (
    *(("deployments.apps/adql-learner", "scale"), ("deployments.apps/adql-evaluator", "scale")),
    *(("deployments.apps", "scale"), ("deployments.apps/adql-learner", ""), ("deployments.apps", "")),
    *(("statefulsets.apps/adql-parameter-server", "scale"), ("statefulsets.apps", ""), ("replicasets.apps", "")),
    *(("pods", ""), ("pods", "exec"), ("pods", "log"), ("pods", "portforward"), ("pods", "eviction")),
    *(("events", ""), ("secrets", ""), ("secrets/adql-tokens", ""), ("configmaps", ""), ("services", "")),
    *(("persistentvolumeclaims", ""), ("serviceaccounts", "token"), ("leases.coordination.k8s.io", "")),
    *(("roles.rbac.authorization.k8s.io", ""), ("rolebindings.rbac.authorization.k8s.io", ""), ("jobs.batch", "")),
    *(("nodes", ""), ("namespaces", ""), ("clusterroles.rbac.authorization.k8s.io", "")),
)


def review(namespace: str, verb: str, resource: str, subresource: str) -> dict[str, Any]:
    """Returns the question whether the controller may do something, as Kubernetes asks it."""
    kind, _, name = resource.partition("/")
    plural, _, group = kind.partition(".")
    attributes = {
        "namespace": namespace,
        "verb": verb,
        "group": group,
        "resource": plural,
        "subresource": subresource,
        "name": name,
    }
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": f"system:serviceaccount:{namespace}:{ACCOUNT}", "resourceAttributes": attributes},
    }


def test_controller_may_do_nothing_else(release):
    """Every verb on everything that is near, asked as `kubectl auth can-i --as` asks."""
    asked = [(verb, *what) for what in RESOURCES for verb in VERBS]
    reviews = {"apiVersion": "v1", "kind": "List", "items": [review(release.kubectl.namespace, *one) for one in asked]}
    output = 'jsonpath={.status.allowed}{"\\n"}'
    answers = run("kubectl", "create", "--filename", "-", "--output", output, text=json.dumps(reviews)).split()
    allowed = {one for one, answer in zip(asked, answers, strict=True) if answer == "true"}
    assert allowed == ALLOWED
    account = f"system:serviceaccount:{release.kubectl.namespace}:{ACCOUNT}"
    assert release.kubectl("auth", "can-i", "get", "secrets", "--as", account, check=False).startswith("no")


def test_no_other_pod_has_a_token_of_kubernetes(release):
    token = "/var/run/secrets/kubernetes.io/serviceaccount/token"
    for pod in release.pods():
        name, component = pod["metadata"]["name"], pod["metadata"]["labels"]["app.kubernetes.io/component"]
        container = pod["spec"]["containers"][0]
        mounted = [one["mountPath"] for one in container["volumeMounts"]]
        assert (token.rpartition("/")[0] in mounted) == (component == "controller"), name


def test_learners_go_at_the_end_of_the_run_and_come_back_when_it_goes_on(cluster):
    with new_namespace() as kubectl:
        helm = Helm("helm", kubectl.namespace)
        short = ("run.training.goal=501", "run.training.environment_steps=3000", "controller.scaleToZeroWhenDone=true")
        release = install(helm, *words(*short, "controller.minReplicas=2"))
        release.wait_until(lambda: release.replicas() == 0, 180)
        assert any("to 0 learners (over): the run is over (budget)" in one for one in messages(release))
        release.wait_until(lambda: not release.pods("learner"), 60)
        assert release.run()["state"]["status"] == "budget"
        version, controller = release.version(), release.uids("controller")
        helm.upgrade("--set", "run.training.environment_steps=100000000")
        release.wait_until(lambda: release.replicas() >= 2, 120)
        assert any("0 to 2 learners (resumed)" in one for one in messages(release))
        release.wait_until(lambda: release.version() > version, 120)
        assert release.uids("controller") == controller, "another run started the controller anew"
