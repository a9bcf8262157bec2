"""`adql learner` when the run is over: everything is told, nothing is under way, and the session lives on."""

import time
from typing import Any

import msgspec
import pytest

from adql.config import RunSpecification, specification_from
from adql.wire import routes
from adql.wire.connection import Connection
from adql_services.learner.main import REPORTS_A_LEASE
from tests.services.learner_process import Process, Services, running
from tests.services.metrics_page import scrape
from tests.waiting import wait_until

BATCH = 8
LEASE_SECONDS = 3.0
LEASES = 2
"""How many of them the learner is watched over."""


def specification(**durability: Any) -> RunSpecification:
    """Over after 1,000 environment steps."""
    return specification_from(
        {
            "environment": {"id": "CartPole-v1", "signature": {"observation_shape": [4], "actions": 2}},
            "network": {"hidden": [16]},
            "algorithm": {"batch_size": BATCH},
            "replay": {"min_size": 100, "samples_per_insert": None},
            "training": {"environment_steps": 1_000},
            "durability": durability,
        }
    )


def at_rest(services: Services, learner: Process) -> None:
    learner.until_ready()
    wait_until(lambda: services.state["status"] == "budget")


def samples(services: Services) -> int:
    """Transitions that the table counts as sampled."""
    with Connection(services.replay.address, token=lambda: None) as connection:
        return msgspec.json.decode(connection.request("GET", routes.TABLE).body)["samples"]


def test_learner_at_rest_has_told_every_environment_step_and_given_back_what_it_did_not_learn(tmp_path, redis_url):
    with running(tmp_path, redis_url, specification(), "told") as services, services.start("both") as learner:
        at_rest(services, learner)

        def all_told() -> bool:
            own = scrape(learner.side)
            steps = own.value("adql_learner_environment_steps_total")
            learned = own.value("adql_learner_gradient_steps_total") * BATCH
            return (services.state["environment_steps"], samples(services)) == (steps, learned)

        wait_until(all_told)
        assert learner.end() == 0
        assert services.sessions == []


@pytest.mark.parametrize("role", ["both", "actor"])
def test_learner_at_rest_keeps_its_session_for_under_2_percent_of_a_core(tmp_path, redis_url, role):
    short = specification(lease_seconds=LEASE_SECONDS)
    with running(tmp_path, redis_url, short, f"lease-{role}") as services, services.start(role) as learner:
        at_rest(services, learner)
        # Only who is at rest asks for what is newer and gets nothing; who still finishes its last turn does not.
        wait_for_more(services, "3xx", 2)
        start, cpu = time.monotonic(), learner.cpu_seconds()
        wait_for_more(services, "2xx", LEASES * REPORTS_A_LEASE)
        seconds, used = time.monotonic() - start, learner.cpu_seconds() - cpu
        assert seconds > (LEASES - 1) * LEASE_SECONDS, "it reports more often than it has to"
        assert used / seconds < 0.02
        assert scrape(services.server.side).value("adql_sessions_expired_total") == 0
        assert len(services.sessions) == 1


def wait_for_more(services: Services, status_class: str, count: int) -> None:
    """Waits for so many more answers of the server; at rest those of 2xx are to reports, which renew the lease."""

    def answers() -> float:
        return scrape(services.server.side).value("adql_http_requests_total", status_class=status_class)

    goal = answers() + count
    wait_until(lambda: answers() >= goal)
