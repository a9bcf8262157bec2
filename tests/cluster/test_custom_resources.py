"""Definitions of KEDA and of the Prometheus Operator on a real API server: it knows every key that the chart writes."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.commands import CHART, Kubectl, fails, run
from tests.cluster.conftest import new_namespace
from tests.waiting import wait_until

KEDA = "github.com/kedacore/keda/v2@v2.21.0"
OPERATOR = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
DEFINITIONS = {
    "scaledobjects.keda.sh": (KEDA, "config/crd/bases/keda.sh_scaledobjects.yaml"),
    **{
        f"{name}.monitoring.coreos.com": (
            OPERATOR,
            f"example/prometheus-operator-crd/monitoring.coreos.com_{name}.yaml",
        )
        for name in ("servicemonitors", "podmonitors", "prometheusrules")
    },
}
WANTED = (
    *("autoscaling.enabled=true", "metrics.dashboards.enabled=true"),
    *("metrics.serviceMonitor.enabled=true", "metrics.serviceMonitor.interval=5s"),
    *("metrics.podMonitor.enabled=true", "metrics.prometheusRule.enabled=true"),
    *(f"metrics.{part}.additionalLabels.release=x" for part in ("serviceMonitor", "podMonitor", "prometheusRule")),
    "autoscaling.behavior.scaleDown.stabilizationWindowSeconds=600",
)


def is_established(name: str) -> bool:
    """Whether the API server serves the kind of a definition."""
    status = json.loads(run("kubectl", "get", "crd", name, "--output", "json")).get("status", {})
    return any(one["type"] == "Established" and one["status"] == "True" for one in status.get("conditions") or [])


@contextmanager
def defined(name: str, module: str, path: str) -> Iterator[None]:
    """The definition ``name`` from a Go module, taken away again."""
    directory = json.loads(run("go", "mod", "download", "-json", module))["Dir"]
    run("kubectl", "create", "--filename", str(Path(directory) / path))
    try:
        # kubectl wait fails on a definition so new that it has no conditions yet.
        wait_until(lambda: is_established(name), every=0.5)
        yield
    finally:
        run("kubectl", "delete", "crd", name)


@pytest.fixture(scope="module", params=DEFINITIONS)
def namespace(request: pytest.FixtureRequest) -> Iterator[tuple[str, Kubectl]]:
    """A kind that the cluster knows, its own or for the time of the tests, and a namespace."""
    there = run("kubectl", "get", "crd", request.param, "--ignore-not-found") != ""
    with nullcontext() if there else defined(request.param, *DEFINITIONS[request.param]), new_namespace() as kubectl:
        yield request.param.partition(".")[0], kubectl


def rendered(helm: str, kubectl: Kubectl, plural: str) -> list[dict[str, Any]]:
    """The chart's objects of one kind."""
    words = [word for one in WANTED for word in ("--set", one)]
    text = run(helm, "template", "adql", CHART, "--namespace", kubectl.namespace, *words)
    return [one for one in yaml.safe_load_all(text) if one and f"{one['kind'].lower()}s" == plural]


@pytest.mark.parametrize("helm", ["helm", "helm3"])
def test_api_server_takes_every_custom_resource_of_the_chart(helm: str, namespace: tuple[str, Kubectl]) -> None:
    plural, kubectl = namespace
    objects = rendered(helm, kubectl, plural)
    assert objects
    for one in objects:
        kubectl("create", "--dry-run=server", "--validate=strict", "--filename", "-", text=json.dumps(one))


def test_api_server_refuses_a_key_that_the_definition_does_not_have(
    namespace: tuple[str, Kubectl], tmp_path: Path
) -> None:
    plural, kubectl = namespace
    one = rendered("helm", kubectl, plural)[0]
    one["spec"]["nonsense"] = 1
    file = tmp_path / "wrong.json"
    file.write_text(json.dumps(one), encoding="utf-8")
    words = ("create", "--dry-run=server", "--validate=strict", "--filename", str(file))
    assert 'unknown field "spec.nonsense"' in fails("kubectl", "--namespace", kubectl.namespace, *words)
