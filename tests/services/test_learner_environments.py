"""`adql learner` with environments that are slow, hang or raise: it ends in time, and leaves nothing open."""

from pathlib import Path
from typing import Any

import pytest

from adql.config import RunSpecification, specification_from
from tests.services.learner_process import Services, running
from tests.services.metrics_page import scrape
from tests.waiting import wait_until


def specification(file: Path, **kwargs: Any) -> RunSpecification:
    """Chunks of 64 steps of one copy."""
    return specification_from(
        {
            "environment": {
                "id": "tests.services.worlds:World-v0",
                "allow": ["tests.services.worlds"],
                "kwargs": {"file": str(file), **kwargs},
                "copies": 1,
                "signature": {"observation_shape": [1], "actions": 2},
            },
            "algorithm": {"n_steps": 1},
            "network": {"hidden": [4]},
            "replay": {"chunk_transitions": 64},
        }
    )


@pytest.fixture
def file(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.syspath_prepend(str(Path.cwd()))
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()), prepend=":")
    return tmp_path / "said"


def said(file: Path) -> list[str]:
    return file.read_text().split() if file.exists() else []


def inserted(services: Services) -> float:
    return scrape(services.replay.side).value("adql_replay_inserts_total")


@pytest.mark.parametrize("role", ["both", "actor"])
def test_asked_to_end_during_a_slow_chunk_it_inserts_and_reports_what_it_has(tmp_path, redis_url, file, role):
    slow = specification(file, seconds=1.0)
    with running(tmp_path, redis_url, slow, f"slow-{role}") as services, services.start(role) as learner:
        learner.until_ready()
        wait_until(lambda: said(file).count("step") >= 2)
        assert learner.end() == 0
        steps = said(file).count("step")
        assert 2 <= steps < 12
        wait_until(lambda: inserted(services) == steps)
        assert (services.state["environment_steps"], services.sessions) == (steps, [])
        assert said(file)[-1] == "closed"


def test_step_that_hangs_and_swallows_exceptions_is_interrupted_in_time(tmp_path, redis_url, file):
    hanging = specification(file, seconds=600.0)
    with running(tmp_path, redis_url, hanging, "hanging") as services, services.start("both") as learner:
        learner.until_ready()
        wait_until(lambda: "step" in said(file))
        assert learner.end() == 0
        assert (said(file), services.sessions) == (["reset", "step", "closed"], [])


@pytest.mark.parametrize("ill", [0, 3])
def test_environment_that_raises_is_closed_and_its_session_ended(tmp_path, redis_url, file, ill):
    with running(tmp_path, redis_url, specification(file, ill=ill), f"ill-{ill}") as services:
        with services.start("both") as learner:
            code, _ = learner.outcome()
        assert code != 0
        assert (said(file)[-1], services.sessions) == ("closed", [])
