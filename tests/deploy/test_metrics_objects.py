"""What the chart makes for the Prometheus Operator, Grafana's sidecar and KEDA, and for a Prometheus without them."""

import json
import re

import pytest
import yaml
from cloudcoil.models.prometheus_operator import v1 as operator

from tests.deploy.copies import copied
from tests.deploy.features import CASES, FEATURES
from tests.deploy.promtool import promtool
from tests.deploy.rendering import CHART, ROOT, Object, Rendered, render, values_of

RULES = """
groups:
  - name: adql
    rules:
      - alert: NoUpdates
        expr: rate(adql_updates_total[5m]) == 0
        for: 5m
        labels: {severity: warning}
        annotations: {summary: "{{ $labels.pod }} has no updates"}
"""
DASHBOARD = '{\n  "title": "Learning",\n  "legendFormat": "{{pod}} {{ .Values.run }}"\n}\n'
SELECTED = {"app.kubernetes.io/name": "adql", "app.kubernetes.io/instance": "adql"}


@pytest.fixture(scope="module")
def monitored(tmp_path_factory) -> Rendered:
    """Everything for the operator and the sidecar, with a rule and a dashboard of known content."""
    chart = copied(tmp_path_factory.mktemp("chart"), rules__known_yaml=RULES, dashboards__known_json=DASHBOARD)
    return render(FEATURES["prometheus operator"], chart=chart)


def round_trip(found: Object) -> Object:
    """What is left of an object of the Prometheus Operator after its own types have read it."""
    read = getattr(operator, found["kind"]).model_validate(found)
    return json.loads(read.model_dump_json(by_alias=True, exclude_unset=True))


def of_the_operator(rendered: Rendered) -> list[Object]:
    return [found for found in rendered.objects if found["apiVersion"] == "monitoring.coreos.com/v1"]


def test_types_of_the_prometheus_operator_know_every_key(monitored):
    found = of_the_operator(monitored)
    assert {one["kind"] for one in found} == {"ServiceMonitor", "PodMonitor", "PrometheusRule"}
    assert [round_trip(one) for one in found] == found


def test_round_trip_loses_what_the_types_do_not_know(monitored):
    monitor = json.loads(json.dumps(monitored.the("ServiceMonitor", "adql-servers")))
    monitor["spec"]["endpoints"][0]["intervall"] = "5s"
    assert round_trip(monitor) != monitor


def test_operator_and_sidecar_find_their_labels(monitored):
    for found in of_the_operator(monitored):
        assert found["metadata"]["labels"]["release"] == "kube-prometheus-stack"
    board = monitored.the("ConfigMap", "adql-dashboard-known")["metadata"]
    assert board["labels"]["grafana_dashboard"] == "1" and board["annotations"]["grafana_folder"] == "ADQL"


def test_rules_and_dashboards_arrive_as_they_are(monitored):
    assert monitored.the("PrometheusRule", "adql-known")["spec"] == yaml.safe_load(RULES)
    assert monitored.the("ConfigMap", "adql-dashboard-known")["data"] == {"known.json": DASHBOARD.rstrip()}


def test_every_service_is_scraped_once_at_its_side_port(monitored):
    servers = monitored.the("ServiceMonitor", "adql-servers")["spec"]
    learners = monitored.the("PodMonitor", "adql-learners")["spec"]
    endpoint = {"port": "side", "path": "/metrics"}
    assert servers["endpoints"] == [endpoint] and learners["podMetricsEndpoints"] == [endpoint]
    selected = [labels["app.kubernetes.io/component"] for labels in service_labels(monitored, servers)]
    selected += [labels["app.kubernetes.io/component"] for labels in pod_labels(monitored, learners)]
    assert sorted(selected) == ["evaluator", "learner", "parameter-server", "replay"]


def test_samples_tell_of_which_release_they_are(monitored):
    label = ["app.kubernetes.io/instance"]
    assert monitored.the("ServiceMonitor", "adql-servers")["spec"]["targetLabels"] == label
    assert monitored.the("PodMonitor", "adql-learners")["spec"]["podTargetLabels"] == label


def service_labels(rendered: Rendered, monitor: Object) -> list[dict[str, str]]:
    ports = {name: [port["name"] for port in one["spec"]["ports"]] for name, one in rendered.of("Service").items()}
    labels = {name: one["metadata"]["labels"] for name, one in rendered.of("Service").items()}
    return [labels[name] for name in labels if matches(monitor["selector"], labels[name]) and "side" in ports[name]]


def pod_labels(rendered: Rendered, monitor: Object) -> list[dict[str, str]]:
    found = [pod for _, pod in rendered.pods() if matches(monitor["selector"], pod["metadata"]["labels"])]
    ports = [port["name"] for pod in found for one in pod["spec"]["containers"] for port in one["ports"]]
    assert ports == ["side"] * len(found)
    return [pod["metadata"]["labels"] for pod in found]


def matches(selector: Object, labels: dict[str, str]) -> bool:
    among = all(labels.get(one["key"]) in one["values"] for one in selector["matchExpressions"])
    return among and selector["matchLabels"].items() <= labels.items()


def test_monitors_look_at_their_own_release_alone(monitored):
    for kind, name in (("ServiceMonitor", "adql-servers"), ("PodMonitor", "adql-learners")):
        spec = monitored.the(kind, name)["spec"]
        assert spec["selector"]["matchLabels"] == SELECTED
        assert spec["namespaceSelector"] == {"matchNames": ["training"]}


def test_monitors_give_the_labels_that_dashboards_and_alerts_select_by(monitored):
    for kind, name, field in (
        ("ServiceMonitor", "adql-servers", "targetLabels"),
        ("PodMonitor", "adql-learners", "podTargetLabels"),
    ):
        spec = monitored.the(kind, name)["spec"]
        assert spec["jobLabel"] == "app.kubernetes.io/component" and spec[field] == ["app.kubernetes.io/instance"]
    files = [*(CHART / "dashboards").glob("*.json"), *(CHART / "rules").glob("*.yaml")]
    selected = {label for file in files for label in re.findall(r"app_kubernetes_io_\w+", file.read_text("utf-8"))}
    # The component is for those who scrape by annotations: monitors give it as the job.
    assert selected == {"app_kubernetes_io_instance", "app_kubernetes_io_component"}


def test_interval_is_left_to_prometheus_unless_it_is_set():
    values = values_of("metrics.podMonitor.enabled=true", "metrics.podMonitor.interval=5s")
    (endpoint,) = render(values).the("PodMonitor", "adql-learners")["spec"]["podMetricsEndpoints"]
    assert endpoint["interval"] == "5s"


def test_nothing_for_the_operator_unless_it_is_asked_for():
    kinds = {found["apiVersion"] for found in render().objects}
    assert not any(kind.startswith(("monitoring.coreos.com", "keda.sh")) for kind in kinds)
    assert not [name for name in render().of("ConfigMap") if "dashboard" in name]


def test_annotations_lead_a_plain_prometheus_to_every_side_port():
    for name, pod in render().pods():
        sides = [
            port["containerPort"]
            for one in pod["spec"]["containers"]
            for port in one.get("ports", ())
            if port["name"] == "side"
        ]
        told = {key: value for key, value in pod["metadata"].get("annotations", {}).items() if "prometheus.io" in key}
        path, port = "prometheus.io/path", "prometheus.io/port"
        assert told == ({"prometheus.io/scrape": "true", path: "/metrics", port: str(sides[0])} if sides else {}), name


@pytest.mark.parametrize("feature", [name for name in CASES if "everything" in name or name == "no scrape annotations"])
def test_annotations_are_gone_where_they_are_switched_off(feature):
    for _, pod in render(CASES[feature]).pods():
        assert not [key for key in pod["metadata"].get("annotations", {}) if "prometheus.io" in key]


@pytest.fixture(scope="module")
def scaled() -> Object:
    return render(FEATURES["autoscaling"]).the("ScaledObject", "adql-learner")["spec"]


def test_keda_scales_the_learners_between_the_two_numbers(scaled):
    assert scaled["scaleTargetRef"] == {"name": "adql-learner"}
    assert (scaled["minReplicaCount"], scaled["maxReplicaCount"]) == (1, 8)
    behavior = scaled["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert behavior == {"scaleDown": {"stabilizationWindowSeconds": 600}}


def test_lost_prometheus_does_not_scale_learners_away(scaled):
    assert scaled["triggers"][0]["metadata"]["ignoreNullValues"] == "false"
    assert scaled["fallback"] == {"failureThreshold": 3, "replicas": 2, "behavior": "currentReplicasIfHigher"}


def test_keda_asks_only_for_metrics_that_the_parameter_server_has(scaled):
    code = (ROOT / "libs/adql/telemetry/metrics.py").read_text(encoding="utf-8")
    query = scaled["triggers"][0]["metadata"]["query"]
    for name in ("active_learners", "staleness_versions"):
        assert f'PARAMETER_SERVER, "{name}"' in code and f"adql_{name}" in query
    assert query.count('{namespace="training",pod=~"adql-parameter-server-[0-9]+"}') == 3


BUCKETS = ("0", "8", "16", "+Inf")


def series(updates: tuple[int, ...], learners: int) -> list[Object]:
    """A parameter server that applies so many updates a minute, by the buckets of their staleness."""
    labels = 'namespace="training",pod="adql-parameter-server-0"'
    of_buckets = [f'adql_staleness_versions_bucket{{{labels},le="{bucket}"}}' for bucket in BUCKETS]
    counts = [f"0+{sum(updates[: place + 1])}x10" for place in range(len(BUCKETS))]
    pairs = [(f"adql_active_learners{{{labels}}}", f"{learners}x10"), *zip(of_buckets, counts, strict=True)]
    return [{"series": name, "values": values} for name, values in pairs]


@pytest.mark.parametrize(
    ("updates", "learners", "wanted"),
    [
        ((0, 0, 100, 0), 8, 8 * 8 / 15.92),  # twice as stale as wanted: half the learners
        ((0, 100, 0, 0), 4, 4 * 8 / 7.92),  # as stale as wanted: as many
        ((100, 0, 0, 0), 1, 2),  # not stale at all: twice as many, and no more at once
        ((0, 0, 0, 0), 5, 5),  # no update: as many as there are
        (None, None, None),  # nothing known: no answer, which KEDA takes for an error
    ],
)
def test_query_of_keda_wants_the_learners_whose_staleness_is_the_wanted_one(
    scaled, tmp_path, updates, learners, wanted
):
    query = scaled["triggers"][0]["metadata"]["query"]
    rule = {"groups": [{"name": "keda", "rules": [{"record": "wanted", "expr": query}]}]}
    case = {
        "interval": "1m",
        "input_series": series(updates, learners) if updates else [],
        "promql_expr_test": [
            {
                "expr": "round(wanted, 0.001)",
                "eval_time": "10m",
                "exp_samples": [{"labels": "{}", "value": round(wanted, 3)}] if updates else [],
            }
        ],
    }
    (tmp_path / "rule.yaml").write_text(yaml.safe_dump(rule), encoding="utf-8")
    test = {"rule_files": ["rule.yaml"], "evaluation_interval": "1m", "tests": [case]}
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(test), encoding="utf-8")
    promtool("test", "rules", str(tmp_path / "test.yaml"))
