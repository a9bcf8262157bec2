"""Evaluation: exactly one greedy episode a copy, on given seeds."""

import numpy as np

from adql.agent.evaluation import EpisodeResults, play_episodes, successes_by_goal
from adql.config import EnvironmentSettings
from tests.agent import environment_doubles  # noqa: F401  registers the doubles
from tests.agent.test_actor import AlwaysOne


def play(episodes: int, seed: int = 0, **kwargs) -> EpisodeResults:
    return play_episodes(EnvironmentSettings(**kwargs), AlwaysOne(), np.zeros(0), episodes, seed)


def test_each_copy_plays_exactly_one_greedy_episode():
    results = play(3, id="Counting-v0", kwargs={"length": 4})
    assert results == EpisodeResults(returns=(4.0, 4.0, 4.0), lengths=(4, 4, 4), successes=None)


def test_results_depend_on_the_seed_alone():
    assert play(5, seed=11) == play(5, seed=11)
    assert play(5, seed=11).returns[1:] == play(4, seed=12).returns
    assert play(20, seed=11) != play(20, seed=500)


def test_success_is_the_environments_word_before_the_goal():
    failed = play(2, id="Counting-v0", kwargs={"length": 4, "success": False})
    assert successes_by_goal(failed, goal=1.0) == (False, False)


def test_success_is_return_at_the_goal_where_the_environment_is_silent():
    results = EpisodeResults((1.0, 2.0, 3.0), (1, 1, 1), None)
    assert successes_by_goal(results, goal=2.0) == (False, True, True)
    assert successes_by_goal(results, goal=None) is None
