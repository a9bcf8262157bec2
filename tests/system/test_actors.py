"""``adql train --actors``: learners that only learn, fed by processes that only act."""

import contextlib
import csv
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.system.local_run import SMALL, TrainProcess
from tests.waiting import wait_until

pytestmark = pytest.mark.system
ONE_AND_TWO = ("--learners", "1", "--actors", "2", *SMALL)


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> TrainProcess:
    """One learner and two actors until the budget.

    The learner is held until both actors are there: none gets ahead of it, so none spends the budget alone.
    """
    with TrainProcess(tmp_path_factory.mktemp("whole") / "run", "--steps", "4000", *ONE_AND_TWO) as training:
        with suspended(training.service("learner-0")):
            wait_until(lambda: roles(training).count("actor") == 2, what=training.said)
        assert training.process.wait(100) == 0, training.said()
    return training


def test_run_of_actors_ends_at_its_budget_and_has_learned(whole_run: TrainProcess):
    summary = whole_run.summary()
    assert (summary["status"], summary["process_restarts"]) == ("budget", 0)
    assert summary["environment_steps"] >= 4_000
    assert summary["learner_steps"] >= 500
    assert summary["evaluation"] is not None


def test_every_environment_step_is_an_actors_and_every_update_the_learners(whole_run: TrainProcess):
    summary = whole_run.summary()
    acted = summary["environment_steps_by_actor"]
    assert (set(acted), sum(acted.values())) == ({"0", "1"}, summary["environment_steps"])
    assert min(acted.values()) >= 0.1 * summary["environment_steps"]
    assert summary["updates_by_learner"] == {"0": summary["updates"]["applied"]}


def test_summary_tells_how_each_process_spent_its_time(whole_run: TrainProcess):
    seconds = whole_run.summary()["activity_seconds"]
    assert set(seconds) == {"learner-0", "actor-0", "actor-1"}
    assert seconds["learner-0"]["environment"] == seconds["actor-0"]["gradient"] == 0.0
    assert min(seconds["learner-0"]["gradient"], seconds["actor-0"]["environment"], seconds["actor-1"]["pull"]) > 0.0


def test_episodes_tell_which_actor_played_them(whole_run: TrainProcess):
    with (whole_run.directory / "episodes.csv").open() as stream:
        assert {row["slot"] for row in csv.DictReader(stream)} == {"0", "1"}


@pytest.fixture
def training(tmp_path: Path):
    """A small run that is learning from both actors; it never reaches its goal."""
    with TrainProcess(tmp_path / "run", "--steps", "10000000", *ONE_AND_TWO) as running:
        wait_until(lambda: roles(running) == ["actor", "actor", "learner"])
        running.until_learning()
        yield running


def roles(training: TrainProcess) -> list[str]:
    return sorted(session["role"] for session in training.sessions())


def test_killed_actor_does_not_stop_training_and_is_started_again(training: TrainProcess):
    victim = training.service("actor-0")
    victim.kill()
    training.until_learning(200)
    wait_until(lambda: training.has_again("actor-0", victim))
    assert "actor-0 ended with code -9; starting it again in 0.5 s" in training.said()
    wait_until(lambda: training.page("parameter-server").value("adql_sessions_expired_total") >= 1)
    wait_until(lambda: roles(training) == ["actor", "actor", "learner"])
    assert training.state()["learners"] == 1
    training.until_learning(200)


def test_learner_and_actor_told_to_end_exit_with_0_within_10_seconds_and_come_back(training: TrainProcess):
    old = {name: training.service(name) for name in ("learner-0", "actor-1")}
    for process in old.values():
        process.send_signal(signal.SIGTERM)
    for process in old.values():
        process.wait(10)
    wait_until(lambda: all(training.has_again(name, process) for name, process in old.items()))
    assert all(f"{name} ended with code 0" in training.said() for name in old)
    training.until_learning(200)


def test_learner_whose_actors_hang_waits_for_them_and_goes_on_when_they_do(training: TrainProcess):
    with suspended(training.service("actor-0"), training.service("actor-1")):
        before = refused_samples(training)
        wait_until(lambda: refused_samples(training) >= before + 2)
        stopped = training.learner_steps()
    wait_until(lambda: training.learner_steps() > stopped + 200)
    assert training.process.poll() is None


def refused_samples(training: TrainProcess) -> float:
    return training.page("replay").value("adql_replay_refused_total", verb="sample")


@contextlib.contextmanager
def suspended(*processes: psutil.Process) -> Iterator[None]:
    """Stops ``processes`` and lets them go on, whatever happens."""
    try:
        for process in processes:
            process.suspend()
        yield
    finally:
        for process in processes:
            process.resume()
