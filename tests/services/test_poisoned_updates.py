"""Updates that are not finite, or whose result is not: refused, used up, rolled back, and learning goes on."""

import random

import numpy as np
import pytest

from adql.agent.activity import Stopwatch
from adql.agent.learner import DqnLearner
from adql.agent.networks import make_network
from adql.agent.synchroniser import Synchroniser
from adql.config import NetworkSettings
from adql.errors import InvalidUpdateError
from adql.wire import routes
from adql.wire.connection import Connection
from tests.agent.test_synchroniser import steps
from tests.parameters.servers import SIZE, owning_server, tiny_specification, update
from tests.services.metrics_page import scrape
from tests.services.parameter_process import ServerProcess
from tests.services.pushes import ONE, asked, push, raw_push

pytestmark = pytest.mark.system
PUSHES = 200
POISON = [np.nan, np.inf, -np.inf, 3e38, -1e16]


def poisoned(rng: random.Random) -> np.ndarray:
    vector = ONE.copy()
    vector[rng.randrange(SIZE)] = rng.choice(POISON)
    return vector


@pytest.mark.parametrize("percent", [1, 10, 100])
def test_poisoned_pushes_are_422_and_used_up_and_the_others_go_on(redis_url, tmp_path, percent):
    rng, refused = random.Random(percent), 0
    run = tiny_specification(run={"name": f"poison-{percent}"})
    with ServerProcess(tmp_path, run, redis_url) as server, Connection(server.listen, token=lambda: None) as connection:
        client = server.client()
        client.register()
        for number in range(PUSHES):
            bad = rng.random() * 100 < percent
            answer = push(client, vector=poisoned(rng) if bad else ONE)
            refused += bad
            assert answer.outcome == ("invalid" if bad else "applied")
            assert answer.parameters.vector.tolist() == [number + 1 - refused, 0, 0, 0]
        assert asked(connection, client)["last_sequence"] == PUSHES - 1
        assert server.get(routes.RUN)["state"]["version"] == PUSHES - refused
        outcomes = {"applied": PUSHES - refused, "invalid_update": refused}
        assert scrape(server.side).by("adql_updates_total", "outcome") == {k: v for k, v in outcomes.items() if v}
        assert refused >= PUSHES * percent / 200
        client.close()


def test_learner_whose_parameters_burst_takes_the_servers_and_goes_on(redis_url, tmp_path):
    run = tiny_specification(run={"name": "burst"}, update={"rule": "average", "sync_every": 2})
    with ServerProcess(tmp_path, run, redis_url) as server:
        client = server.client()
        start = client.register()
        network = make_network(NetworkSettings(kind="tabular"), run.environment.signature)
        learner = DqnLearner(network, run.algorithm, start.vector)
        synchroniser = Synchroniser(learner, client, run, start, Stopwatch(lambda: 0.0))
        steps(learner, synchroniser, 2)
        good = learner.vector.copy()
        for value in (np.nan, np.inf, 1e17, 1e30):
            steps(learner, synchroniser, 2, change=value)
            np.testing.assert_array_equal(learner.vector, good)
        steps(learner, synchroniser, 2)
        assert synchroniser.outcomes == {"applied": 2, "invalid": 4}
        assert client.pull(None).vector.tolist() == learner.vector.tolist() == (good + 2).tolist()
        client.close()


def test_finite_update_whose_result_overflows_is_refused_and_its_momentum_taken_back(redis_url, tmp_path):
    """What follows is what a server makes that never saw the overflowing update."""
    rule = {"rule": "delta", "outer_learning_rate": 1e30, "outer_momentum": 0.5}
    run = tiny_specification(run={"name": "overflow"}, update=rule)
    small, large = np.full(SIZE, 1e-30, np.float32), np.full(SIZE, 1e9, np.float32)
    clean = owning_server(run)
    session = clean.register("both").identifier
    expected = [clean.push(update(clean, session, n, vector=small)).parameters.vector.tolist() for n in range(3)]
    with ServerProcess(tmp_path, run, redis_url) as server, Connection(server.listen, token=lambda: None) as connection:
        client = server.client()
        client.register()
        raw_push(connection, client, sequence=0, update=small)
        for _ in range(2):
            with pytest.raises(InvalidUpdateError, match="result of the update"):
                raw_push(connection, client, sequence=1, update=large)
        assert client.pull(None).vector.tolist() == expected[0]
        for sequence in (2, 3):
            raw_push(connection, client, sequence=sequence, update=small)
            assert client.pull(None).vector.tolist() == expected[sequence - 1]
        client.close()
