"""What an evaluator publishes of the episodes that it played."""

from types import SimpleNamespace

from adql.agent.evaluation import EpisodeResults
from adql.telemetry.metrics import CLIENT, EVALUATOR
from adql_services.evaluator.main import _publish

GREEDY = {"policy": "greedy"}


def test_return_length_and_success_rate_are_those_of_the_newest_episodes():
    task = SimpleNamespace(episodes=4, purpose="periodic", parameters=SimpleNamespace(version="1.2"))
    results = EpisodeResults((10.0, 20.0, 30.0, 500.0), (10, 20, 30, 500), None)
    _publish(task, results, (False, False, False, True))
    assert CLIENT.get_sample_value("adql_episode_return", GREEDY) == 140
    assert CLIENT.get_sample_value("adql_episode_length_steps", GREEDY) == 140
    assert EVALUATOR.get_sample_value("adql_success_ratio") == 0.25
