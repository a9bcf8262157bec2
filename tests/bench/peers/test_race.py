"""A race is over at the second evaluation in a row over the goal, and evaluations take no time of it."""

import time

import numpy as np
import pytest

from tests.bench.peers import race as races
from tests.bench.peers.clock import TrainingClock
from tests.bench.peers.race import Race
from tests.bench.peers.report import comparable, summary
from tests.bench.peers.tasks import TASKS, Task

TASK = Task("CartPole-v1", goal=100.0, seconds=60.0, evaluate_every=10)


def left(observations):
    return np.zeros(len(observations), np.int64)


@pytest.fixture
def returns(monkeypatch):
    """The mean returns of the evaluations to come."""
    means = []
    monkeypatch.setattr(races, "play", lambda task, act: means.pop(0))
    return means


def steps_until_over(race: Race, most: int = 1_000) -> int:
    return next(steps for steps in range(1, most) if not race.goes_on(steps))


def test_one_evaluation_over_the_goal_is_luck(returns):
    returns += [100.0, 99.9, 100.0, 100.0]
    race = Race(TASK, left)
    assert steps_until_over(race) == 40 and race.reached
    assert [one.environment_steps for one in race.curve] == [10, 20, 30, 40]


def test_race_is_over_when_its_time_is_up(returns):
    returns += [0.0]
    race = Race(Task("CartPole-v1", goal=100.0, seconds=0.0, evaluate_every=10), left)
    assert not race.goes_on(10) and not race.reached


def test_race_without_a_goal_is_over_when_its_time_is_up_and_no_sooner(returns):
    returns += [1e9, 1e9, 1e9]
    race = Race(Task("CartPole-v1", goal=None, seconds=60.0, evaluate_every=10), left)
    assert all(race.goes_on(steps) for steps in (10, 20, 30)) and not race.reached


def test_clock_stands_still_while_it_is_stopped():
    clock = TrainingClock()
    with clock.stopped():
        start = time.perf_counter()
        while time.perf_counter() - start < 0.05:
            pass
    assert clock.wall_seconds < 0.04 and clock.cpu_seconds < 0.04


def test_evaluation_plays_greedy_episodes_to_their_end():
    assert 8.0 <= races.play(TASKS["cartpole"], left) <= 11.0, "who only pushes left falls after nine or ten steps"


def outcome(competitor: str, seed: int, wall_seconds: float, *, task: str = "cartpole", best: float = 1.0):
    times = {"wall_seconds": wall_seconds, "cpu_seconds": wall_seconds}
    curve = [races.Evaluation(1.0, 10, best), races.Evaluation(2.0, 20, best / 2)]
    return races.Outcome(task, competitor, seed, True, **times, **dict.fromkeys(
        ("environment_steps", "updates", "peak_megabytes"), 1), curve=curve)  # fmt: skip


def test_medians_are_over_the_seeds_that_everybody_raced():
    raced = [outcome("adql", 1, 5.0), outcome("adql", 2, 50.0), outcome("sbx", 1, 10.0), outcome("sb3", 1, 20.0)]
    assert {one.seed for one in comparable(raced, "cartpole")} == {1}
    ours, *_ = summary(raced, "cartpole")
    assert (ours["competitor"], ours["times_sbx_wall_seconds"], ours["times_sb3_wall_seconds"]) == ("adql", 0.5, 0.25)


def test_race_of_a_fixed_time_is_judged_by_what_was_done_in_it():
    ours, theirs = (
        outcome("adql", 1, 540.0, task="minatar", best=8.0),
        outcome("sb3", 1, 540.0, task="minatar", best=2.0),
    )
    line, *_ = summary([ours, theirs], "minatar")
    assert (line["times_sb3_last_mean_return"], line["times_sb3_environment_steps"]) == (0.25, 1.0)


def test_race_that_is_in_the_results_is_not_run_again(tmp_path, monkeypatch):
    from tests.bench.peers import __main__ as program

    run = []
    monkeypatch.setattr(program, "run", lambda race: run.append(race) or outcome(race[1], race[2], 1.0))
    words = ["peers", "--tasks", "cartpole", "--competitors", "adql", "--seeds", "1", "2"]
    words += ["--results", str(tmp_path / "new" / "results.jsonl")]
    monkeypatch.setattr("sys.argv", words)
    program.main()
    monkeypatch.setattr("sys.argv", [*words, "--competitors", "adql", "sbx"])
    program.main()
    assert run == [("cartpole", one, seed) for one, seed in (("adql", 1), ("adql", 2), ("sbx", 1), ("sbx", 2))]
