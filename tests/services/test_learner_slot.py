"""A learner whose session expired leases another one, maybe in another slot."""

import contextlib
import time
from types import SimpleNamespace

from adql.agent.activity import Stopwatch
from adql.agent.assembly import Parts, assemble
from adql.agent.exploration import make_epsilons
from adql.agent.networks import make_network
from adql.config import specification_from
from adql.types import Parameters
from tests.services.parameter_process import ServerProcess
from tests.store_process import running_store
from tests.waiting import wait_until

RUN = specification_from(
    {
        "environment": {
            "id": "CartPole-v1",
            "copies": 2,
            "signature": {"observation_shape": [4], "actions": 2},
        },
        "network": {"hidden": [4]},
        "exploration": {"kind": "ladder", "actors": 4},
        "durability": {"lease_seconds": 3.0},
    }
)
"""Two slots of two copies."""
LADDER = [make_epsilons(RUN.exploration, lambda slot=slot: slot, 2)(0).mean() for slot in range(2)]


def parts_of(client, start: Parameters) -> Parts:
    network = make_network(RUN.network, RUN.environment.signature)
    replay = SimpleNamespace(insert=lambda chunk, wait_seconds: True)
    return Parts(RUN, network, client, replay, start, Stopwatch(time.monotonic), time.monotonic)


def takes_slot_0(client) -> bool:
    client.close()
    client.register()
    return client.slot == 0


def explored(collector, vector) -> float:
    collector.gather(vector, 0)
    collector.offer()
    return collector.epsilon


def test_a_learner_explores_by_the_slot_of_the_session_that_it_has_now(tmp_path):
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(running_store(tmp_path / "store"))
        server = stack.enter_context(ServerProcess(tmp_path / "server", RUN, store.url))
        learner, rival = (stack.enter_context(contextlib.closing(server.client(seed))) for seed in range(2))
        start = learner.register()
        collector = assemble("actor", parts_of(learner, start)).collector
        assert (learner.slot, explored(collector, start.vector)) == (0, LADDER[0])
        wait_until(lambda: takes_slot_0(rival))
        learner.progress(0)
        assert (learner.slot, explored(collector, start.vector)) == (1, LADDER[1])
        assert LADDER[0] != LADDER[1]
