"""A short real training under a real Prometheus: every panel shows something, and what it shows is so."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from adql.types import OVER
from adql.wire import routes
from adql.wire.connection import Connection
from tests.deploy.prometheus_process import PagesOnLoopback, Prometheus
from tests.deploy.promtool import promtool
from tests.deploy.shipped import RULES, Panel, panels
from tests.system.launched import adql
from tests.system.local_run import SMALL, TrainProcess
from tests.waiting import wait_until

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

JOBS = {
    "parameter-server": "parameter-server",
    "replay": "replay",
    "evaluator": "evaluator",
    "learner-0": "learner",
    "learner-1": "learner",
    "actor-0": "learner",
}
LEARNERS = [service for service, job in JOBS.items() if job == "learner"]
RATE_INTERVAL = "4s"
"""Four scrapes, as Grafana makes it."""
SETTINGS = (*SMALL, "replay.sampler=prioritised", "evaluation.every_learner_steps=1000")
SHOWN = {
    "version": "adql_version",
    "durable": "adql_durable_version",
    "updates": 'adql_updates_total{outcome="applied"}',
    "return": "adql_evaluation_return",
    "environment steps": "adql_run_environment_steps",
    "learner steps": "adql_run_learner_steps",
    "updates of learners": 'sum(adql_learner_updates_total{outcome="applied"})',
}


@dataclass
class Recorded:
    """A run that is over, what its last pages said, and the Prometheus that has seen all of it."""

    prometheus: Prometheus
    start: float
    end: float
    summary: dict[str, Any]
    last: dict[str, float]
    pages: dict[str, str]
    alerts: list[dict[str, Any]]
    rules: list[dict[str, Any]] = field(default_factory=list)

    def series(self, query: str) -> dict[str, list[float]]:
        """Returns what a panel with this query shows."""
        return self.prometheus.over(query, self.start, self.end, 1.0)


def page_of(training: TrainProcess, service: str) -> bytes:
    side = training.service(service).environ()["ADQL_SIDE"]
    with Connection(side, token=lambda: None, timeout_seconds=1) as connection:
        return bytes(connection.request("GET", routes.METRICS).body)


def is_at_rest(training: TrainProcess) -> bool:
    """Whether the run is over and its newest version was evaluated: from now on nothing changes."""
    run = training.run_state()
    state, evaluations = run.get("state", {}), run.get("evaluations", {})
    evaluated = evaluations.get("scheduled_learner_steps") == state.get("learner_steps")
    return state.get("status") in OVER and evaluated and not evaluations["waiting"]


def shown(prometheus: Prometheus) -> dict[str, float]:
    """Returns what Prometheus knows now, less what it has not seen."""
    found = {name: prometheus.now(query) for name, query in SHOWN.items()}
    return {name: series[0][1] for name, series in found.items() if series}


def said(training: TrainProcess) -> dict[str, float]:
    """Returns the same of the services' own pages."""
    server, applied = training.page("parameter-server"), {"outcome": "applied"}
    own = {name: server.value(query) for name, query in SHOWN.items() if "{" not in query}
    learners = [training.page(service).value("adql_learner_updates_total", **applied) for service in LEARNERS]
    return {**own, "updates": server.value("adql_updates_total", **applied), "updates of learners": sum(learners)}


def record(training: TrainProcess, prometheus: Prometheus, start: float) -> Recorded:
    """Waits until the run is at rest and Prometheus has seen it; the launcher sleeps, so that every service stays."""
    launcher = psutil.Process(training.process.pid)
    launcher.suspend()
    try:
        wait_until(lambda: is_at_rest(training), 90, training.said)
        wait_until(lambda: shown(prometheus) == said(training), what=lambda: f"{shown(prometheus)}")
        end, last = time.time(), shown(prometheus)
        pages = {service: page_of(training, service).decode() for service in JOBS}
        alerts, rules = prometheus.ask("alerts")["alerts"], prometheus.ask("rules")["groups"][0]["rules"]
    finally:
        launcher.resume()
    assert training.process.wait(60) == 0, training.said()
    return Recorded(prometheus, start, end, training.summary(), last, pages, alerts, rules)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """Two learners and an actor on CartPole, for as many steps as a few evaluations need."""
    folder = tmp_path_factory.mktemp("scraped")
    arguments = ("--learners", "2", "--actors", "1", "--steps", "12000", *SETTINGS)
    with TrainProcess(folder / "run", *arguments) as training:
        read = {service: partial(page_of, training, service) for service in JOBS}
        with PagesOnLoopback(read) as pages, Prometheus(folder / "prometheus", pages.address, JOBS, RULES) as seen:
            start = time.time()
            wait_until(lambda: all(training.find(service) for service in JOBS), what=training.said)
            yield record(training, seen, start)


ELSEWHERE = {
    "Learners that the controller wants": "of the controller, which is on Kubernetes alone; tests/cluster reads them",
    "Why that many": "as above",
    "Changes of the number": "as above",
}
"""Panels that a training on one machine does not fill, and why."""


@pytest.mark.parametrize("panel", [panel for panel in panels() if panel.title not in ELSEWHERE], ids=str)
def test_every_query_of_the_panel_returns_data(recorded: Recorded, panel: Panel):
    for query in panel.queries:
        series = recorded.series(query.filled(__rate_interval=RATE_INTERVAL))
        assert series, f"{query.expression} shows nothing"
        assert all(math.isfinite(value) for values in series.values() for value in values), query.expression


@pytest.mark.parametrize("name", ["version", "updates", "return", "environment steps", "learner steps"])
def test_what_is_shown_equals_the_summary(recorded: Recorded, name: str):
    summary = recorded.summary
    expected = {
        "version": summary["version"]["number"],
        "updates": summary["updates"]["applied"],
        "return": summary["evaluation"]["mean_return"],
        "environment steps": summary["environment_steps"],
        "learner steps": summary["learner_steps"],
    }
    assert recorded.last[name] == pytest.approx(expected[name], rel=1e-12)


def test_updates_of_the_learners_add_up_to_those_of_the_server(recorded: Recorded):
    assert recorded.last["updates of learners"] == recorded.last["updates"]


@pytest.mark.parametrize("service", JOBS)
def test_page_of_a_service_passes_promtool(recorded: Recorded, service: str):
    assert promtool("check", "metrics", given=recorded.pages[service]) == ""


def test_rules_are_evaluated_and_none_fires_in_a_healthy_run(recorded: Recorded):
    assert {rule["health"] for rule in recorded.rules} == {"ok"}
    assert [alert for alert in recorded.alerts if alert["state"] == "firing"] == []


def test_dashboards_are_drawn_from_what_prometheus_has(recorded: Recorded, tmp_path: Path):
    done = adql("dashboard", "render", tmp_path, "--prometheus", recorded.prometheus.url, "--hours", 1)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(tmp_path / "learning.png"), str(tmp_path / "asynchrony.png")]
    assert min(file.stat().st_size for file in tmp_path.iterdir()) > 50_000
