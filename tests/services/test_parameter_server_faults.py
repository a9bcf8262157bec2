"""What the parameter server does when it, its store or its volume dies, hangs, fills up or comes back older."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest
import redis

from adql.errors import StoreUnavailableError
from adql.parameters.checkpoints import Checkpoints
from adql.parameters.store import WeightStore
from adql.parameters.tensors import read_tensors
from adql.wire import routes
from adql.wire.connection import Connection
from tests.parameters.servers import tiny_specification
from tests.services.parameter_process import ServerProcess
from tests.services.plain_http import ask
from tests.services.pushes import begin_waiting_pull, push, raw_push, update_body
from tests.store_process import running_store
from tests.waiting import wait_until

pytestmark = pytest.mark.system
BINARY = {"Content-Type": routes.BINARY}
SHORT = tiny_specification(durability={"lease_seconds": 2.0})
"""Leases that end soon, and not while a busy machine answers."""


def make_durable(client):
    """Waits until everything that the client pushed is acknowledged."""
    wait_until(lambda: client.progress(0) or client.unacknowledged == 0)


def test_pulls_go_on_and_pushes_are_refused_with_a_time_while_the_store_is_away(store, server, client):
    push(client)
    store.kill()
    wait_until(lambda: server.probe(routes.READYZ) == 503)
    assert server.probe(routes.LIVEZ) == 200
    with Connection(server.listen, token=lambda: None) as connection:
        assert connection.request("GET", routes.PARAMETERS).status == 200
        with pytest.raises(StoreUnavailableError) as away:
            raw_push(connection, client, sequence=1)
    assert away.value.details["retry_after_ms"] == 200
    store.start()
    assert push(client).outcome == "applied"
    make_durable(client)
    assert client.state.version.epoch == 1
    assert server.probe(routes.READYZ) == 200


def test_durable_push_is_refused_at_once_when_the_store_dies_under_it(store, server, client):
    push(client)
    make_durable(client)
    store.kill()
    start = time.monotonic()
    with Connection(server.listen, token=lambda: None) as connection, pytest.raises(StoreUnavailableError):
        raw_push(connection, client, query="?durable=true", sequence=1)
    assert time.monotonic() - start < 5


def test_hanging_store_delays_and_loses_nothing(store, server, client):
    push(client)
    os.kill(store.pid, signal.SIGSTOP)
    threading.Timer(3.0, os.kill, (store.pid, signal.SIGCONT)).start()
    for _ in range(5):
        push(client)
    make_durable(client)
    assert client.pull(None).vector.tolist() == [6, 0, 0, 0]
    assert client.state.version.epoch == 1
    assert server.get(routes.RUN)["incidents"] == 0


def test_full_store_refuses_pushes_until_there_is_room(store, server, client):
    with redis.Redis.from_url(store.url) as admin:
        push(client)
        make_durable(client)
        admin.config_set("maxmemory", 1)
        push(client)
        wait_until(lambda: server.probe(routes.READYZ) == 503)
        (away,) = [line for line in server.log().splitlines() if "the weight store is away" in line][:1]
        assert "OutOfMemoryError" in away and "give it memory or disk where it is full" in away
        answer = ask(server.listen, "POST", routes.UPDATES, BINARY, update_body(client, sequence=2))
        assert (answer.status, answer.headers["retry-after"], answer.headers["retry-after-ms"]) == (503, "1", "200")
        assert ask(server.listen, "GET", routes.PARAMETERS).status == 200
        assert server.probe(routes.LIVEZ) == 200
        admin.config_set("maxmemory", 0)
    push(client)
    make_durable(client)
    assert client.pull(None).vector.tolist() == [3, 0, 0, 0]


def test_living_server_commits_again_when_the_store_was_emptied(store, server, client):
    for _ in range(3):
        push(client)
    make_durable(client)
    with redis.Redis.from_url(store.url) as admin:
        admin.flushall()
    wait_until(lambda: client.progress(0) or client.state.version.epoch == 2)
    push(client)
    make_durable(client)
    assert client.pull(None).vector.tolist() == [4, 0, 0, 0]
    assert server.get(routes.RUN)["incidents"] == 1


def test_living_server_commits_again_when_the_store_came_back_older(store, server, client, tmp_path):
    push(client)
    make_durable(client)
    store.kill()
    backup = shutil.copytree(tmp_path / "store", tmp_path / "backup")
    store.start()
    push(client)
    make_durable(client)
    store.kill()
    shutil.rmtree(tmp_path / "store")
    shutil.copytree(backup, tmp_path / "store")
    store.start()
    wait_until(lambda: client.progress(0) or client.state.version.epoch == 2)
    make_durable(client)
    assert client.pull(None).vector.tolist() == [2, 0, 0, 0]


def test_restarted_server_refuses_an_emptied_store_and_names_the_way_out(store, server, client):
    push(client)
    make_durable(client)
    server.kill()
    with redis.Redis.from_url(store.url) as admin:
        admin.flushall()
        server.start(ready=False)
        assert server.process.wait(20) == 2
        assert admin.keys() == []
    assert "adql: error: the store does not know run 'adql'" in server.log()
    assert "adql restore" in server.log()


def test_other_configuration_under_the_same_name_is_refused_with_its_keys(store, server, client, tmp_path):
    push(client)
    make_durable(client)
    server.kill()
    other = ServerProcess(tmp_path / "other", tiny_specification(algorithm={"gamma": 0.5}), store.url)
    other.start(ready=False)
    assert other.process.wait(20) == 2
    assert "algorithm.gamma was 0.99, now 0.5" in other.log()
    with server:
        assert server.get(routes.RUN)["state"]["version"] == 1


def test_store_that_would_lose_updates_is_refused(tmp_path):
    with running_store(tmp_path / "store", appendfsync="everysec") as store:
        server = ServerProcess(tmp_path / "server", tiny_specification(), store.url).start(ready=False)
        assert server.process.wait(20) == 2
    assert "adql: error: weight store has appendfsync='everysec', needed is always" in server.log()


def test_server_waits_for_a_store_that_starts_later(tmp_path):
    with running_store(tmp_path / "store") as store:
        store.kill()
        server = ServerProcess(tmp_path / "server", tiny_specification(), store.url).start(ready=False)
        try:
            wait_until(lambda: "waiting for the weight store" in server.log())
            assert server.probe(routes.READYZ) == 503
            store.start()
            wait_until(lambda: server.probe(routes.READYZ) == 200)
        finally:
            server.kill()


def test_server_whose_store_is_full_at_the_start_says_that_and_waits_for_room(tmp_path):
    with running_store(tmp_path / "store", maxmemory="1") as store, redis.Redis.from_url(store.url) as admin:
        server = ServerProcess(tmp_path / "server", tiny_specification(), store.url).start(ready=False)
        try:
            wait_until(lambda: "waiting for the weight store" in server.log())
            assert "OutOfMemoryError" in server.log() and "give it memory or disk where it is full" in server.log()
            admin.config_set("maxmemory", 0)
            wait_until(lambda: server.probe(routes.READYZ) == 200)
        finally:
            server.kill()


def test_fenced_server_turns_unready_and_ends_with_an_error(store, server, client, tmp_path):
    push(client)
    make_durable(client)
    os.kill(server.process.pid, signal.SIGSTOP)
    with ServerProcess(tmp_path / "second", tiny_specification(), store.url) as second:
        os.kill(server.process.pid, signal.SIGCONT)
        assert server.process.wait(20) == 1
        assert "another server owns epoch 2" in server.log()
        other = second.client()
        assert other.register().version == (2, 1)
        assert push(other).outcome == "applied"
        make_durable(other)
        other.close()


@pytest.mark.parametrize("restarts", [0, 2], ids=["epochs are the same", "this server's epoch is newer"])
def test_store_that_comes_back_with_another_run_is_left_as_it_is_and_ends_the_server(tmp_path, restarts):
    """Marks say nothing of the run: one of a lower epoch would be taken for an older state of this one."""
    run, theirs = tiny_specification(), tmp_path / "theirs"
    with running_store(theirs) as store, ServerProcess(tmp_path / "a", run, store.url) as other:
        client = other.client()
        client.register()
        push(client)
        make_durable(client)
        client.close()
        assert other.terminate() == 0
        kept = WeightStore(store.url, run.run.name).read()
    with running_store(tmp_path / "ours") as store, ServerProcess(tmp_path / "b", run, store.url) as server:
        for _ in range(restarts):
            server.kill()
            server.start()
        store.kill()
        shutil.rmtree(tmp_path / "ours" / "appendonlydir")
        shutil.copytree(theirs / "appendonlydir", tmp_path / "ours" / "appendonlydir")
        store.start()
        assert server.process.wait(20) == 2
        assert "the store holds another run named 'adql' than this volume" in server.log().splitlines()[-1]
        assert WeightStore(store.url, run.run.name).read().blobs() == kept.blobs()


def test_sigterm_commits_writes_the_last_policy_and_exits_0(store, server, client, tmp_path):
    for _ in range(5):
        push(client)
    half_open = [Connection(server.listen, token=lambda: None) for _ in range(3)]
    for connection in half_open:
        connection.request("GET", routes.RUN)
    with Connection(server.listen, token=lambda: None) as waiting:
        begin_waiting_pull(waiting, client, server.listen)
        assert server.terminate(seconds=10) == 0
        assert waiting.finish().status == 304
    for connection in half_open:
        connection.close()
    # Before another server writes there.
    volume = tmp_path / "server" / "volume"
    arrays, about = read_tensors(volume / "policy-last.safetensors")
    assert (about["version"], [array.ravel().tolist() for array in arrays.values()]) == ("1.5", [[5, 0, 0, 0]])
    assert Checkpoints(volume / "checkpoints").read_newest().parameters.tolist() == [5, 0, 0, 0]
    with server:
        state = server.get(routes.RUN)["state"]
        assert (state["epoch"], state["version"]) == (2, 5)


def test_sigterm_while_the_store_is_away_says_what_is_not_saved_and_exits_1(store, server, client):
    version = push(client).parameters.version
    make_durable(client)
    store.kill()
    wait_until(lambda: server.probe(routes.READYZ) == 503)
    client.progress(123)
    assert server.terminate(seconds=10) == 1
    said = server.log().splitlines()[-1]
    assert f"ended without a last commit, version {version} is the newest in the store" in said


def test_sigterm_while_the_store_hangs_exits_1_within_10_seconds(store, server, client):
    os.kill(store.pid, signal.SIGSTOP)
    push(client)
    assert server.terminate(seconds=10) == 1
    assert "ended without a last commit" in server.log().splitlines()[-1]
    os.kill(store.pid, signal.SIGCONT)


def test_session_expires_and_the_learner_count_falls(store, tmp_path):
    with ServerProcess(tmp_path / "server", SHORT, store.url) as server:
        client = server.client()
        client.register()
        assert server.get(routes.RUN)["state"]["learners"] == 1
        wait_until(lambda: server.get(routes.RUN)["state"]["learners"] == 0)
        client.close()


def test_learner_whose_lease_ran_out_counts_its_steps_once(store, tmp_path):
    with ServerProcess(tmp_path / "server", SHORT, store.url) as server:
        client = server.client()
        client.register()
        client.progress(100)
        wait_until(lambda: server.get(routes.RUN)["state"]["learners"] == 0)
        client.progress(150)
        client.progress(170)
        assert server.get(routes.RUN)["state"]["environment_steps"] == 170
        client.close()


def test_server_imports_neither_torch_nor_gymnasium():
    program = (
        "import sys, adql_services.parameter_server.main; "
        "print([name for name in ('torch', 'gymnasium') if name in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "[]"
