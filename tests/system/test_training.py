"""``adql train`` with real processes: a whole run, and services that die or are told to end meanwhile."""

import csv
import signal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.system.local_run import SMALL, TrainProcess
from tests.waiting import wait_until

pytestmark = pytest.mark.system
SERVICES = ("parameter-server", "replay", "learner-0", "learner-1", "evaluator")


class WholeRun(NamedTuple):
    """A run from its start to its goal."""

    directory: Path
    summary: dict[str, Any]
    together: dict[str, int]
    """Applied updates by learner when both had one: which process started sooner tells nothing of their shares."""


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> WholeRun:
    """CartPole with two learners until its goal, as the README's first command runs it."""
    directory = tmp_path_factory.mktemp("whole") / "run"
    with TrainProcess(directory, "--env", "CartPole-v1", "--learners", "2") as training:
        together = wait_until(lambda: updates_of_both(training), what=training.said)
        assert training.process.wait(110) == 0, training.said()
    return WholeRun(directory, training.summary(), together)


def updates_of_both(training: TrainProcess) -> dict[str, int] | None:
    applied = training.run_state().get("updates_by_slot", {})
    return applied if len(applied) == 2 and all(applied.values()) else None


@pytest.fixture(scope="module")
def summary(whole_run: WholeRun) -> dict[str, Any]:
    return whole_run.summary


def test_two_learners_solve_cartpole_over_100_fresh_episodes(summary: dict[str, Any]):
    assert summary["reached"]
    assert summary["evaluation"]["episodes"] == 100
    assert summary["evaluation"]["mean_return"] >= 475


def test_every_learner_has_a_quarter_of_the_applied_updates(whole_run: WholeRun):
    applied = {slot: n - whole_run.together[slot] for slot, n in whole_run.summary["updates_by_learner"].items()}
    assert len(applied) == 2
    assert min(applied.values()) >= 0.25 * sum(applied.values()) > 0


def test_the_learners_are_asynchronous(summary: dict[str, Any]):
    assert summary["staleness"]["max"] >= 1


def test_version_counts_the_applied_updates(summary: dict[str, Any]):
    assert summary["version"]["number"] == summary["updates"]["applied"]
    assert summary["learner_steps"] == summary["updates"]["learner_steps"] == 8 * summary["updates"]["applied"]


def test_samples_per_insert_holds(summary: dict[str, Any]):
    steps_per_environment_step = summary["learner_steps"] / (summary["environment_steps"] - 1_000)
    assert steps_per_environment_step == pytest.approx(16 / 64, rel=0.1)


def test_folder_holds_policies_evaluations_and_episodes(whole_run: WholeRun, summary: dict[str, Any]):
    names = {path.name for path in whole_run.directory.iterdir()}
    assert {"run.yaml", "command.txt", "policy-best.safetensors", "policy-last.safetensors"} <= names
    with (whole_run.directory / "episodes.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    lengths = [int(row["length"]) for row in rows]
    assert 0.8 * summary["environment_steps"] <= sum(lengths) <= summary["environment_steps"]
    assert [row["success"] for row in rows] == [str(int(float(row["return"]) >= 475)) for row in rows]


@pytest.fixture
def training(tmp_path: Path):
    """A small run that is learning; it never reaches its goal."""
    with TrainProcess(tmp_path / "run", "--steps", "10000000", *SMALL) as running:
        running.until_learning()
        yield running


def test_killed_learner_does_not_stop_the_other_and_its_session_expires(training: TrainProcess):
    wait_until(lambda: len(training.sessions()) == 2)
    victim = training.service("learner-0")
    victim.kill()
    training.until_learning(200)
    wait_until(lambda: training.has_again("learner-0", victim))
    wait_until(lambda: training.page("parameter-server").value("adql_sessions_expired_total") >= 1)
    wait_until(lambda: len(training.sessions()) == 2)
    training.until_learning(200)


@pytest.mark.parametrize("name", SERVICES)
def test_service_told_to_end_exits_with_0_within_10_seconds_and_comes_back(training: TrainProcess, name: str):
    process = training.service(name)
    before = training.learner_steps()
    process.send_signal(signal.SIGTERM)
    process.wait(10)
    wait_until(lambda: training.has_again(name, process))
    assert training.learner_steps() >= before
    training.until_learning(200)
    assert f"{name} ended with code 0" in training.said()


def test_killed_parameter_server_goes_on_from_its_last_commit(training: TrainProcess):
    training.until_learning(500)
    durable = training.state()["durable_version"]
    training.service("parameter-server").kill()
    wait_until(lambda: training.run_state().get("state", {}).get("epoch") == 2)
    assert training.state()["version"] >= durable
    training.until_learning(200)


def test_replay_told_to_end_comes_back_with_its_transitions(training: TrainProcess):
    training.until_learning(500)
    size = training.table_size()
    replay = training.service("replay")
    replay.send_signal(signal.SIGTERM)
    replay.wait(10)
    wait_until(lambda: training.has_again("replay", replay))
    assert training.table_size() >= size
    training.until_learning(200)


def test_killed_store_loses_no_committed_version(training: TrainProcess):
    training.until_learning(500)
    durable = training.state()["durable_version"]
    training.service("store").kill()
    training.until_learning(200)
    state = training.state()
    assert (state["durable_version"] >= durable, state["epoch"]) == (True, 1)
