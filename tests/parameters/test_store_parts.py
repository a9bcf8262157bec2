"""Large fields go ahead of their commit in parts, against a real Valkey."""

import contextlib
import os
import shutil
import signal
import threading

import numpy as np
import pytest
import redis

from adql.errors import CheckpointError, StoreRefusedError, StoreUnavailableError
from adql.parameters.parts import cut, joined
from adql.parameters.state import Mark
from adql.parameters.store import PARTS_EXPIRE_SECONDS, WeightStore
from tests.parameters.servers import owning_server, push_many, tiny_specification
from tests.store_process import running_store
from tests.waiting import wait_until

RUN = b"adql:adql"
PART_BYTES = 8
"""So that the tiny state has many parts."""


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    with running_store(tmp_path_factory.mktemp("store")) as store:
        yield store


@pytest.fixture
def client(process):
    with redis.Redis.from_url(process.url) as client:
        client.flushall()
        yield client


def opened(process, **options):
    return contextlib.closing(
        WeightStore(process.url, "adql", timeout_seconds=0.5, **{"part_bytes": PART_BYTES} | options)
    )


@pytest.fixture
def store(process, client):
    with opened(process) as store:
        yield store


@pytest.fixture
def states():
    """Yields states of one run, one after the other."""
    server = owning_server(tiny_specification(update={"rule": "gradient"}))
    session = server.register("both").identifier

    def endless():
        while True:
            push_many(server, session, 1)
            yield server.snapshot(Mark(server.version.epoch, server.version.number, server.changes, "owner"))

    return endless()


def parts_of(state):
    return f"adql:adql:{state.mark.owner}:{state.mark.commit}".encode()


def test_fields_are_whole_again_however_they_were_cut():
    fields = {"a": bytes(range(100)), "rule:m/v": memoryview(b"x" * 33), "small": b"12345678", "none": b""}
    small, parts = cut(fields, 8)
    assert small.keys() == {"small", "none"} and max(len(part) for part in parts.values()) == 8
    named = {name.encode(): bytes(part) for name, part in reversed(parts.items())}
    assert small | joined(named) == {name: bytes(blob) for name, blob in fields.items()}


def test_store_holds_the_parts_of_one_commit_and_for_good(store, client, states):
    mark = None
    for state in (next(states), next(states), next(states)):
        assert store.commit(state, replaces=mark) == (mark := state.mark)
    assert set(client.keys()) == {RUN, parts_of(state)} and client.ttl(parts_of(state)) == -1
    np.testing.assert_array_equal(store.read().parameters, state.parameters)


def test_next_server_frees_the_parts_of_the_one_before_it(store, process, client, states):
    first, second = next(states), next(states)
    store.commit(first, replaces=None)
    with opened(process) as other:
        other.commit(second, replaces=other.mark())
    assert set(client.keys()) == {RUN, parts_of(second)}


def test_store_that_had_no_parts_gets_them_and_the_other_way_round(store, process, client, states):
    first, second, third = (next(states) for _ in range(3))
    with opened(process, part_bytes=2**20) as whole:
        whole.commit(first, replaces=None)
        store.commit(second, replaces=first.mark)
        assert whole.read().blobs() == second.blobs()
        whole.commit(third, replaces=second.mark)
    assert client.keys() == [RUN] and store.read().blobs() == third.blobs()


@pytest.mark.parametrize("lost", ["one", "all"])
def test_state_whose_parts_are_lost_is_damaged(store, client, states, lost):
    store.commit(state := next(states), replaces=None)
    client.hdel(parts_of(state), "parameters/1") if lost == "one" else client.unlink(parts_of(state))
    with pytest.raises(CheckpointError, match=r"damaged.*adql restore DIR"):
        store.read()


def test_part_with_a_strange_name_is_damage(store, client, states):
    store.commit(state := next(states), replaces=None)
    client.hset(parts_of(state), b"\xff/x", b"y")
    with pytest.raises(CheckpointError, match=r"damaged.*adql restore DIR"):
        store.read()


def test_commit_without_all_of_its_parts_is_refused(store, client, states, monkeypatch):
    first, second = next(states), next(states)
    store.commit(first, replaces=None)
    send = store._send_ahead
    monkeypatch.setattr(store, "_send_ahead", lambda key, parts: (send(key, parts), client.hdel(key, "parameters/0")))
    with pytest.raises(StoreRefusedError, match="parts of this commit are missing"):
        store.commit(second, replaces=first.mark)
    assert store.read().blobs() == first.blobs() and set(client.keys()) == {RUN, parts_of(first)}


def test_full_store_keeps_what_it_has_and_no_part_of_what_it_refused(store, client, states):
    first, second = next(states), next(states)
    store.commit(first, replaces=None)
    client.config_set("maxmemory", 1)
    try:
        with pytest.raises(StoreRefusedError, match=r"OOM|memory"):
            store.commit(second, replaces=first.mark)
        assert store.read().mark == first.mark and set(client.keys()) == {RUN, parts_of(first)}
    finally:
        client.config_set("maxmemory", 0)
    assert store.commit(second, replaces=first.mark) == second.mark


def test_parts_whose_server_died_before_the_commit_are_forgotten_in_time(store, client, states):
    store._send_ahead("adql:adql:dead:1", {"parameters/0": b"x"})
    assert 0 < client.ttl("adql:adql:dead:1") <= PARTS_EXPIRE_SECONDS


def test_server_that_was_replaced_leaves_no_parts_that_stay(store, process, client, states):
    first, second, third = (next(states) for _ in range(3))
    store.commit(first, replaces=None)
    with opened(process) as other:
        other.commit(second, replaces=first.mark)
    assert store.commit(third, replaces=first.mark) == second.mark
    assert set(client.keys()) == {RUN, parts_of(second), parts_of(third)} and client.ttl(parts_of(third)) > 0
    assert store.read().blobs() == second.blobs()


def test_commits_of_unknown_outcome_leave_the_parts_of_the_one_that_holds(store, process, client, states):
    """Whether a commit that was cut off took effect or not, the next one frees all parts but those of the run."""
    store.commit(first := next(states), replaces=None)
    held = first.mark
    for _ in range(3):
        os.kill(process.pid, signal.SIGSTOP)
        try:
            with pytest.raises(StoreUnavailableError):
                store.commit(next(states), replaces=held)
        finally:
            os.kill(process.pid, signal.SIGCONT)
        held = store.mark()
    last = next(states)
    assert store.commit(last, replaces=held) == last.mark
    wait_until(lambda: set(client.keys()) == {RUN, parts_of(last)})
    assert store.read().blobs() == last.blobs()


def test_parts_of_a_commit_whose_answer_was_lost_stay_until_it_is_replaced(store, client, states, monkeypatch):
    first, second, third = (next(states) for _ in range(3))
    store.commit(first, replaces=None)

    def answer_lost(**arguments):
        commit(**arguments)
        raise redis.ConnectionError("the answer was lost")

    commit = store._commit
    with monkeypatch.context() as patched, pytest.raises(StoreUnavailableError):
        patched.setattr(store, "_commit", answer_lost)
        store.commit(second, replaces=first.mark)
    client.config_set("maxmemory", 1)
    try:
        with pytest.raises(StoreRefusedError):
            store.commit(third, replaces=second.mark)
    finally:
        client.config_set("maxmemory", 0)
    assert store.read().blobs() == second.blobs()


def test_read_goes_on_with_what_another_server_commits_meanwhile(store, process, states, monkeypatch):
    first, second = next(states), next(states)
    store.commit(first, replaces=None)
    hash_of = store._hash

    def interrupted(key):
        monkeypatch.setattr(store, "_hash", hash_of)
        found = hash_of(key)
        with opened(process) as other:
            other.commit(second, replaces=first.mark)
        return found

    monkeypatch.setattr(store, "_hash", interrupted)
    assert store.read().blobs() == second.blobs()


def test_torn_file_holds_one_commit_or_the_one_before_it(tmp_path, states):
    """The append-only file of two commits, cut off anywhere in the second one, is read back whole."""
    first, second = next(states), next(states)
    with running_store(tmp_path / "store") as process, opened(process) as store:
        store.commit(first, replaces=None)
        (file,) = (tmp_path / "store" / "appendonlydir").glob("*.incr.aof")
        begin = file.stat().st_size
        store.commit(second, replaces=first.mark)
        end = file.stat().st_size
        process.kill()
    found = set()
    for cut_at in sorted(
        {*np.linspace(begin, end, 12).astype(int), *(end - back for back in (1, 20, 60, 120, 200, 400))}
    ):
        torn = tmp_path / f"torn-{cut_at}"
        shutil.copytree(tmp_path / "store", torn)
        os.truncate(torn / "appendonlydir" / file.name, int(cut_at))
        with running_store(torn) as process, opened(process) as store:
            found.add((read := store.read()).mark)
            assert read.blobs() == {first.mark: first, second.mark: second}[read.mark].blobs()
        shutil.rmtree(torn)
    assert found == {first.mark, second.mark}


def test_what_was_confirmed_survives_kills_of_the_store_at_any_moment(tmp_path, states):
    with running_store(tmp_path) as process, opened(process) as store:
        store.commit(state := next(states), replaces=None)
        sent = {state.mark: state}
        confirmed = state.mark
        for delay in np.random.default_rng(5).uniform(0.0, 0.02, 12):
            killer = threading.Timer(delay, process.kill)
            killer.start()
            with contextlib.suppress(StoreUnavailableError):
                while True:
                    state = next(states)
                    sent[state.mark] = state
                    assert store.commit(state, replaces=confirmed) == state.mark
                    confirmed = state.mark
            killer.join()
            process.start()
            read = store.read()
            assert read.mark.commit >= confirmed.commit and read.blobs() == sent[read.mark].blobs()
            confirmed = read.mark
