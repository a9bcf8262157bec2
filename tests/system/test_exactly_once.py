"""Acknowledged updates are applied exactly once and the others at most once, whatever is killed.

Every update adds 1 to a cell of its own, so that the final parameters tell of each update how often it was applied.
``ADQL_TEST_CYCLES`` sets how often something is killed.
"""

import contextlib
import random
import time

import numpy as np
import pytest

from adql.parameters.parts import PART_BYTES
from adql.parameters.store import WeightStore
from tests.services.parameter_process import ServerProcess
from tests.store_process import running_store
from tests.system.updates import CYCLES, LEARNER_STEPS, Pusher, check_cells, counting_run
from tests.waiting import wait_until

CLIENTS = 4
"""Half of them ask for durable answers."""

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


@contextlib.contextmanager
def pushing(directory, unused_cells=0):
    """Yields store, server and clients that push; afterwards all is held against what the clients saw."""
    with running_store(directory / "store", auto_aof_rewrite_percentage="10") as store:
        server = ServerProcess(directory / "server", counting_run(CLIENTS, unused_cells), store.url)
        with server, contextlib.ExitStack() as ended:
            pushers = [Pusher(number, server, durable=number % 2 == 1) for number in range(CLIENTS)]
            for pusher in pushers:
                ended.callback(pusher.client.close)
                ended.callback(pusher.abort)
            yield store, server, pushers
            for pusher in pushers:
                pusher.stop()
            check(store.url, server, pushers)


def check(redis_url, server, pushers):
    """Holds the store's final state against the clients' histories."""
    store = WeightStore(redis_url, server.specification.run.name)
    wait_until(lambda: store.mark().number == pushers[0].client.pull(None).version.number)
    state = store.read()
    store.close()
    applied = check_cells(state.parameters, state.mark.number, pushers)
    assert state.record.clocks.learner_steps == LEARNER_STEPS * applied
    np.testing.assert_array_equal(pushers[0].client.pull(None).vector, state.parameters)


def wait_for_uncommitted(redis_url, server, pushers, count=2):
    """Waits until clients have been answered ``count`` versions that the store does not have."""
    store = WeightStore(redis_url, server.specification.run.name)
    wait_until(lambda: pushed(pushers) >= count)
    wait_until(lambda: newest_answered(pushers) - store.mark().number >= count)
    store.close()


def pushed(pushers):
    """Returns how many updates were answered; raises what ended a client, since no more will come."""
    for pusher in pushers:
        pusher.check()
    return sum(len(pusher.history) for pusher in pushers)


def newest_answered(pushers):
    """As ``pushed`` for the newest version that was answered."""
    pushed(pushers)
    return max(pusher.history[-1].version.number for pusher in pushers if pusher.history)


def let_it_run(rng):
    time.sleep(rng.uniform(0.0, 0.25))  # the fault's random moment, not a wait for anything


def test_updates_survive_kill_9_of_the_server_exactly_once(tmp_path):
    rng = random.Random(1)
    with pushing(tmp_path) as (store, server, pushers):
        for _ in range(CYCLES):
            wait_for_uncommitted(store.url, server, pushers)
            let_it_run(rng)
            server.kill()
            server.start()
    assert pushers[0].client.state.version.epoch == CYCLES + 1
    assert sum(pusher.client.updates_resent for pusher in pushers) > 0


@pytest.mark.parametrize("unused_cells", [0, PART_BYTES], ids=["small", "in parts and by a thread"])
def test_updates_survive_kill_9_of_the_store_exactly_once(tmp_path, unused_cells):
    rng = random.Random(2)
    with pushing(tmp_path, unused_cells) as (store, server, pushers):
        for _ in range(CYCLES):
            before = pushed(pushers)
            wait_for_uncommitted(store.url, server, pushers)
            let_it_run(rng)
            store.kill()
            wait_until(lambda: server.probe("/readyz") == 503)
            store.start()
            wait_until(lambda n=before: pushed(pushers) > n + CLIENTS)
    assert pushers[0].client.state.version.epoch == 1


@pytest.mark.parametrize("unused_cells", [0, PART_BYTES], ids=["small", "in parts and by a thread"])
def test_updates_survive_kill_9_of_server_and_store_together_exactly_once(tmp_path, unused_cells):
    rng = random.Random(3)
    with pushing(tmp_path, unused_cells) as (store, server, pushers):
        for _ in range(max(1, CYCLES // 4)):
            wait_for_uncommitted(store.url, server, pushers)
            let_it_run(rng)
            for victim in rng.sample((server, store), 2):
                victim.kill()
            store.start()
            server.start()
    assert sum(pusher.client.updates_resent for pusher in pushers) > 0
