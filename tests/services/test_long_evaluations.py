"""An evaluation of as many episodes as the specification allows fits the wire, whatever its numbers are."""

import msgspec
import pytest

from adql.config import MAX_EPISODES, load_specification
from adql.errors import ConfigError
from adql.wire import routes
from adql.wire.evaluation_client import EvaluationResult
from adql_services.runtime.guard import MAX_JSON_BYTES
from tests.parameters.servers import tiny_specification
from tests.services.parameter_process import ServerProcess
from tests.services.pushes import push
from tests.store_process import running_store

LONGEST_RETURN = -2.2250738585072014e-308
LONGEST_LENGTH = 2**53 - 1


@pytest.mark.system
def test_report_of_the_most_episodes_with_the_longest_numbers_is_taken(tmp_path):
    evaluation = {"every_learner_steps": 10, "episodes": MAX_EPISODES, "confirm_episodes": MAX_EPISODES}
    run = tiny_specification(evaluation=evaluation)
    with running_store(tmp_path / "store") as store, ServerProcess(tmp_path / "server", run, store.url) as server:
        client, evaluator = server.client(), server.evaluator()
        client.register()
        for _ in range(5):
            push(client)
        task = evaluator.next(wait_seconds=10)
        count = task.episodes
        returns, lengths, successes = [LONGEST_RETURN] * count, [LONGEST_LENGTH] * count, [False] * count
        evaluator.report(EvaluationResult(task.id, task.parameters.version, returns, lengths, successes, 1e-300))
        assert [result["task"]["episodes"] for result in server.get(routes.EVALUATIONS)] == [MAX_EPISODES]
        client.close(), evaluator.close()


def test_an_episodes_longest_numbers_are_as_long_as_json_makes_them():
    longest = (LONGEST_RETURN, -1.7976931348623157e308, -1.2345678901234567e-300, LONGEST_LENGTH, False)
    assert max(len(msgspec.json.encode(number)) for number in longest) == len(msgspec.json.encode(LONGEST_RETURN)) == 24
    assert MAX_EPISODES * (25 + 17 + 6) + 1_000 < MAX_JSON_BYTES


@pytest.mark.parametrize("key", ["episodes", "confirm_episodes"])
def test_more_episodes_than_fit_are_refused_by_key_and_bound(key):
    with pytest.raises(ConfigError, match=rf"evaluation\.{key}={MAX_EPISODES + 1}.*{MAX_EPISODES}") as refused:
        load_specification(None, [f"evaluation.{key}={MAX_EPISODES + 1}"], {})
    assert "\n" not in str(refused.value)
    load_specification(None, [f"evaluation.{key}={MAX_EPISODES}"], {})
