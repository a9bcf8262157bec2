"""`adql learner` in its roles apart: real processes, beside a real parameter server and a real replay service."""

import time
from contextlib import closing
from typing import Any

import numpy as np

from adql.config import RunSpecification, specification_from
from adql.types import TransitionBatch
from tests.services.learner_process import Process, Services, running
from tests.services.metrics_page import scrape
from tests.services.replay_process import replay_client
from tests.waiting import wait_until

SIGNATURE = {"observation_shape": [4], "actions": 2}
WAITS = 3
"""How many waits of a second a process's processor time is measured over."""


def specification(environment: str, **training: Any) -> RunSpecification:
    """Small; as much may be inserted as anybody likes once ``training`` has a budget."""
    return specification_from(
        {
            "environment": {"id": environment, "signature": SIGNATURE},
            "network": {"hidden": [16]},
            "algorithm": {"batch_size": 8},
            "replay": {"min_size": 100, "samples_per_insert": None if training else 4.0},
            "training": training,
        }
    )


NOWHERE = specification("Nowhere-v0")
CARTPOLE = specification("CartPole-v1")
SHORT = specification("CartPole-v1", environment_steps=1_000)


def insert_random(services: Services, count: int) -> None:
    """Inserts as an actor would, in chunks of 50, as the table allows it."""
    rng = np.random.default_rng(3)
    with closing(replay_client(services.replay.address, services.server.specification, session="hand")) as client:
        for _ in range(count // 50):
            seen = rng.normal(size=(50, 4)).astype(np.float32)
            action = rng.integers(2, size=50).astype(np.int32)
            chunk = TransitionBatch(seen, action, np.ones(50, np.float32), np.full(50, 0.9, np.float32), seen)
            wait_until(lambda chunk=chunk: client.insert(chunk, 1.0))


def share_of_a_core(process: Process, refused: float, side: str, verb: str) -> float:
    """Returns what the process uses while the table refuses it ``refused`` times more."""

    def refusals() -> float:
        return scrape(side).value("adql_replay_refused_total", verb=verb)

    goal = wait_until(refusals) + refused
    start, cpu = time.monotonic(), process.cpu_seconds()
    wait_until(lambda: refusals() >= goal)
    seconds = time.monotonic() - start
    assert seconds >= WAITS / 2, "it does not wait in the table"
    return (process.cpu_seconds() - cpu) / seconds


def test_learner_makes_no_environment_starves_quietly_and_learns_what_comes(tmp_path, redis_url):
    with running(tmp_path, redis_url, NOWHERE, "nowhere") as services, services.start("learner") as learner:
        learner.until_ready()
        assert share_of_a_core(learner, WAITS, services.replay.side, "sample") < 0.05
        insert_random(services, 1_000)
        wait_until(lambda: services.state["learner_steps"] >= 100)
        assert [(s["role"], s["environment_steps"]) for s in services.sessions] == [("learner", 0)]
        assert services.state["learners"] == 1
        assert learner.end() == 0
        assert services.sessions == []


def test_who_acts_needs_the_environment(tmp_path, redis_url):
    with running(tmp_path, redis_url, NOWHERE, "acting-nowhere") as services:
        for role in ("both", "actor"):
            with services.start(role) as process:
                code, reason = process.outcome()
            assert code == 2
            assert "environment.id='Nowhere-v0' is not registered" in reason


def test_actor_inserts_pauses_when_the_table_refuses_and_never_learns(tmp_path, redis_url):
    with running(tmp_path, redis_url, CARTPOLE, "cartpole") as services, services.start("actor") as actor:
        actor.until_ready()
        # A chunk that is offered is refused at once, then again after a second in the table.
        assert share_of_a_core(actor, 2 * WAITS, services.replay.side, "insert") < 0.05
        assert services.state["environment_steps"] == services.sessions[0]["environment_steps"] > 0
        assert (services.state["learner_steps"], services.state["learners"]) == (0, 0)
        assert scrape(services.replay.side).value("adql_replay_samples_total") == 0
        assert actor.end() == 0
        assert services.state["environment_steps"] > 0


def test_actor_idles_when_the_run_is_over(tmp_path, redis_url):
    with running(tmp_path, redis_url, SHORT, "short") as services, services.start("actor") as actor:
        actor.until_ready()
        wait_until(lambda: services.state["status"] == "budget")
        start, cpu = time.monotonic(), actor.cpu_seconds()
        goal = not_modified(services) + WAITS
        wait_until(lambda: not_modified(services) >= goal)
        assert (actor.cpu_seconds() - cpu) / (time.monotonic() - start) < 0.05
        assert services.state["environment_steps"] < 1_200
        assert actor.end() == 0


def not_modified(services: Services) -> float:
    """How many pulls found nothing newer; an idle process waits a second for each."""
    return scrape(services.server.side).value("adql_http_requests_total", status_class="3xx")
