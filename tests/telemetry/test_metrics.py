import re
from pathlib import Path

import pytest
from prometheus_client import Counter, Gauge, Histogram, generate_latest

import adql_services
from adql.telemetry import metrics

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


@pytest.mark.parametrize("name", OBJECTS)
def test_every_metric_is_set_by_a_service(name):
    services = Path(adql_services.__file__).parent.rglob("*.py")
    assert any(re.search(rf"metrics\.{name}\b", file.read_text()) for file in services)


def test_the_page_shows_the_process_and_nothing_unprefixed():
    lines = [line for line in generate_latest(metrics.REGISTRY).decode().splitlines() if not line.startswith("#")]
    assert lines and all(line.startswith("adql_") for line in lines)
    assert any(line.startswith("adql_process_resident_memory_bytes") for line in lines)
