import ast
import functools
import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

import adql_services
from adql.telemetry import metrics

CHANGES = {"inc", "set", "observe"}
OBJECTS = {name: value for name, value in vars(metrics).items() if isinstance(value, Counter | Gauge | Histogram)}


def exported_name(metric: Counter | Gauge | Histogram) -> str:
    return metric.describe()[0].name + ("_total" if isinstance(metric, Counter) else "")


@pytest.mark.parametrize("name", OBJECTS)
def test_a_metric_is_prefixed_documented_and_named_by_its_kind(name):
    exported, metric = exported_name(OBJECTS[name]), OBJECTS[name]
    assert re.fullmatch(r"adql_[a-z][a-z0-9_]*", exported) and metric.describe()[0].documentation.endswith(".")
    assert isinstance(metric, Counter) == exported.endswith("_total")
    assert "_ms" not in exported and "_kb" not in exported


def test_no_metric_is_named_twice():
    names = [exported_name(metric) for metric in OBJECTS.values()]
    assert len(names) == len(set(names))


ASKED_FOR = """
episode_return episode_length_steps success_ratio cumulative_reward loss td_error q_value_mean q_value_max epsilon
learning_rate gradient_norm environment_steps_total learner_steps_total updates_total updates_received_total
staleness_versions parameter_divergence_ratio version durable_version epoch push_seconds pull_seconds wire_bytes_total
commit_seconds commit_bytes_total updates_at_risk_total replay_size_transitions replay_size_bytes replay_inserts_total
replay_samples_total replay_samples_per_insert replay_priority_mean replay_sample_age_inserts active_learners
learner_activity_seconds_total retries_total reconnects_total
"""


@pytest.mark.parametrize("asked", ASKED_FOR.split())
def test_everything_that_dashboards_need_has_a_name(asked):
    assert f"adql_{asked}" in {exported_name(metric) for metric in OBJECTS.values()}


@functools.cache
def set_by_services() -> set[str]:
    """Returns the metrics on which the services call what changes a value, as ``metrics.X.inc()`` does."""
    services = Path(adql_services.__file__).parent.rglob("*.py")
    calls = [node for file in services for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
    changes = [call.func for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr in CHANGES]
    reached = [node for change in changes for node in ast.walk(change.value) if isinstance(node, ast.Attribute)]
    return {node.attr for node in reached if isinstance(node.value, ast.Name) and node.value.id == "metrics"}


@pytest.mark.parametrize("name", OBJECTS)
def test_every_metric_is_set_by_a_service(name):
    assert name in set_by_services()


def test_a_late_gauge_shows_nothing_before_it_is_set():
    registry = CollectorRegistry()
    gauge = metrics.LateGauge("adql_late", "What is not known at first.", registry=registry)
    assert registry.get_sample_value("adql_late") is None
    gauge.set(0.0)
    assert registry.get_sample_value("adql_late") == 0.0


PAGES = {name: value for name, value in vars(metrics).items() if name.endswith("_PAGE")}


def lines_of(page: metrics.Page) -> list[str]:
    return b"".join(map(generate_latest, page)).decode().splitlines()


def shown_on(page: metrics.Page) -> list[str]:
    """The lines of a page that carry samples."""
    return [line for line in lines_of(page) if not line.startswith("#")]


def metrics_on(page: metrics.Page) -> set[str]:
    """The metrics of a page, also those whose labels have no value yet."""
    return {line.split()[2] for line in lines_of(page) if line.startswith("# TYPE ")}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_the_process_and_nothing_unprefixed(page):
    lines = shown_on(PAGES[page])
    assert lines and all(line.startswith("adql_") for line in lines)
    assert any(line.startswith("adql_process_resident_memory_bytes") for line in lines)


@pytest.mark.parametrize(
    ("sample", "shown"),
    [
        ("adql_version", ["PARAMETER_SERVER_PAGE"]),
        ("adql_replay_size_transitions", ["REPLAY_PAGE"]),
        ("adql_epsilon", ["LEARNER_PAGE"]),
        ("adql_success_ratio", ["EVALUATOR_PAGE"]),
        ("adql_controller_changes_total", ["CONTROLLER_PAGE"]),
        ("adql_volume_write_failing", ["PARAMETER_SERVER_PAGE", "REPLAY_PAGE"]),
        ("adql_reconnects_total", ["EVALUATOR_PAGE", "LEARNER_PAGE"]),
    ],
)
def test_a_metric_is_shown_only_by_those_who_set_it(sample, shown):
    assert sorted(name for name, page in PAGES.items() if sample in metrics_on(page)) == shown


def test_every_metric_is_on_a_page():
    pages = {registry for page in PAGES.values() for registry in page}
    exported = {family.name for registry in pages for family in registry.collect()}
    assert {metric.describe()[0].name for metric in OBJECTS.values()} <= exported
