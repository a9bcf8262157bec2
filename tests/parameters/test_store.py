"""The weight store against a real Valkey."""

import contextlib
import os
import signal
import threading
from collections import Counter

import numpy as np
import pytest
import redis

from adql.errors import CheckpointError, StoreNotDurableError, StoreRefusedError, StoreUnavailableError
from adql.parameters.parts import PART_BYTES
from adql.parameters.state import Mark
from adql.parameters.store import WeightStore
from tests.parameters.servers import commit, owning_server, push_many, restarted, tiny_specification
from tests.store_process import running_store


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    with running_store(tmp_path_factory.mktemp("store")) as store:
        yield store


@pytest.fixture
def client(process):
    with redis.Redis.from_url(process.url) as client:
        client.flushall()
        yield client


@pytest.fixture(params=[PART_BYTES, 8], ids=["whole", "in parts"])
def part_bytes(request):
    return request.param


@pytest.fixture
def store(process, client, part_bytes):
    with contextlib.closing(WeightStore(process.url, "adql", timeout_seconds=0.5, part_bytes=part_bytes)) as store:
        yield store


@pytest.fixture
def whole(process, client):
    """A store into which the tiny state goes without parts."""
    with contextlib.closing(WeightStore(process.url, "adql", timeout_seconds=0.5)) as store:
        yield store


@pytest.fixture
def server():
    return owning_server(tiny_specification(update={"rule": "gradient"}))


@pytest.fixture
def session(server):
    return server.register("both").identifier


def next_state(server, session, owner="owner"):
    push_many(server, session, 1)
    return server.snapshot(Mark(server.version.epoch, server.version.number, server.changes, owner))


def test_unknown_run_is_none(store):
    assert (store.mark(), store.read()) == (None, None)


def test_committed_state_is_read_back_whole(store, server, session):
    state = next_state(server, session)
    assert store.commit(state, replaces=None) == state.mark
    read = store.read()
    assert (read.mark, read.record) == (state.mark, state.record)
    np.testing.assert_array_equal(read.parameters, state.parameters)
    for name, array in state.arrays.items():
        np.testing.assert_array_equal(read.arrays[name], array)


def test_memory_is_what_info_says_and_its_limit_is_maxmemory_else_the_machines(store, client):
    assert 0 < store.memory().used < store.memory().limit == client.info("memory")["total_system_memory"]
    client.config_set("maxmemory", "1gb")
    try:
        assert store.memory().limit == 1024**3
    finally:
        client.config_set("maxmemory", "0")


def test_user_that_may_not_ask_info_is_told_so_and_can_still_commit(process, client, server, session):
    client.acl_setuser("narrow", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-info"])
    url = process.url.replace("unix://", "unix://narrow@")
    with contextlib.closing(WeightStore(url, "adql")) as store:
        with pytest.raises(StoreRefusedError, match="info"):
            store.memory()
        state = next_state(server, session)
        assert store.commit(state, replaces=None) == state.mark


def test_commit_replaces_exactly_the_commit_that_it_names(store, server, session):
    first, second, third = (next_state(server, session) for _ in range(3))
    assert store.commit(second, replaces=first.mark) is None
    store.commit(first, replaces=None)
    assert store.commit(third, replaces=second.mark) == first.mark
    assert store.commit(second, replaces=None) == first.mark
    assert store.commit(second, replaces=first.mark) == second.mark
    assert store.read().mark == second.mark


@pytest.mark.parametrize("field", ["epoch", "number", "commit", "owner"])
def test_every_part_of_the_mark_is_guarded(store, server, session, field):
    first, second = next_state(server, session), next_state(server, session)
    store.commit(first, replaces=None)
    other = first.mark._replace(**{field: "else" if field == "owner" else getattr(first.mark, field) + 1})
    assert store.commit(second, replaces=other) == first.mark


def test_old_epoch_cannot_commit_after_a_takeover(store, server, session):
    before = next_state(server, session)
    store.commit(before, replaces=None)
    taken = commit(restarted(before, server.specification))
    assert store.commit(taken, replaces=before.mark) == taken.mark
    assert store.commit(next_state(server, session), replaces=before.mark) == taken.mark


def test_runs_do_not_see_each_other(store, process, server, session):
    store.commit(next_state(server, session), replaces=None)
    other = WeightStore(process.url, "other")
    assert other.mark() is None
    other.close()


def calls(client) -> Counter[str]:
    """Returns how often each command was called so far."""
    return Counter({name.removeprefix("cmdstat_"): of["calls"] for name, of in client.info("commandstats").items()})


def test_commit_is_one_write(whole, client, server, session):
    whole.commit(first := next_state(server, session), replaces=None)  # the store knows the script from here on
    before = calls(client)
    whole.commit(next_state(server, session), replaces=first.mark)
    assert calls(client) - before == {"evalsha": 1, "hmget": 1, "hset": 1, "info": 1}
    assert client.keys() == [b"adql:adql"]


def test_commit_works_after_the_store_forgot_its_scripts(store, client, server, session):
    first, second = next_state(server, session), next_state(server, session)
    store.commit(first, replaces=None)
    client.script_flush()
    assert store.commit(second, replaces=first.mark) == second.mark


def test_damaged_state_is_refused(whole, client, server, session):
    whole.commit(next_state(server, session), replaces=None)
    client.hset("adql:adql", "record", b"\x80\x04cos\nsystem\n.")
    with pytest.raises(CheckpointError, match="adql restore"):
        whole.read()


def test_one_flipped_byte_of_the_stored_parameters_is_refused(whole, client, server, session):
    whole.commit(next_state(server, session), replaces=None)
    blob = bytearray(client.hget("adql:adql", "parameters"))
    blob[0] ^= 1
    client.hset("adql:adql", "parameters", bytes(blob))
    with pytest.raises(CheckpointError, match=r"'parameters' does not hold.*adql restore DIR"):
        whole.read()


@pytest.mark.parametrize("field", ["epoch", "version", "commit", "owner"])
@pytest.mark.parametrize("value", [b"\xff\x80", None])
def test_damaged_mark_is_refused_and_may_be_replaced_on_purpose(store, client, server, session, field, value):
    first, second = next_state(server, session), next_state(server, session)
    store.commit(first, replaces=None)
    client.hdel("adql:adql", field) if value is None else client.hset("adql:adql", field, value)
    for look in (store.mark, store.read):
        with pytest.raises(CheckpointError, match=r"damaged: its mark: .*adql restore DIR"):
            look()
    guard = store.guard()
    assert store.commit_over(second, guard) == second.mark
    assert store.commit_over(first, guard) == store.read().mark == second.mark


def test_field_whose_name_is_damaged_counts_as_missing(whole, client, server, session):
    whole.commit(next_state(server, session), replaces=None)
    client.hset("adql:adql", b"rec\xff", client.hget("adql:adql", "record"))
    client.hdel("adql:adql", "record")
    with pytest.raises(CheckpointError, match=r"damaged.*adql restore DIR"):
        whole.read()


# Settings


def test_durable_settings_are_accepted(store):
    store.check_durable()


@pytest.mark.parametrize(
    ("setting", "value", "default", "needed"),
    [
        ("appendfsync", "everysec", "always", "always"),
        ("appendonly", "no", "yes", "yes"),
        ("no-appendfsync-on-rewrite", "yes", "no", "no"),
        ("maxmemory-policy", "allkeys-lru", "noeviction", "noeviction"),
        ("auto-aof-rewrite-min-size", str(2**20), "256mb", "at least 268435456; .*ADQL_VALKEY_REWRITE_MIN_SIZE"),
    ],
)
def test_setting_that_could_lose_updates_is_refused_by_name(store, client, setting, value, default, needed):
    client.config_set(setting, value)
    try:
        with pytest.raises(StoreNotDurableError, match=f"{setting}='{value}', needed is {needed}"):
            store.check_durable()
    finally:
        client.config_set(setting, default)


def test_rewrites_of_the_file_must_be_rare_for_a_large_state(process):
    large = WeightStore(process.url, "adql", state_bytes=20 * 2**20)
    with pytest.raises(StoreNotDurableError, match="at least 335544320"):
        large.check_durable()
    large.close()


# Faults


def test_missing_store_is_unavailable_and_says_when_to_come_again(tmp_path):
    missing = WeightStore(f"unix://{tmp_path}/none.sock", "adql")
    with pytest.raises(StoreUnavailableError) as away:
        missing.mark()
    assert away.value.details["retry_after_ms"] == 200


def test_full_store_refuses_the_commit_and_keeps_what_it_has(store, client, server, session):
    first, second = next_state(server, session), next_state(server, session)
    store.commit(first, replaces=None)
    client.config_set("maxmemory", 1)
    try:
        with pytest.raises(StoreUnavailableError, match=r"OOM|memory"):
            store.commit(second, replaces=first.mark)
        assert store.read().mark == first.mark
    finally:
        client.config_set("maxmemory", 0)
    assert store.commit(second, replaces=first.mark) == second.mark


def test_hanging_store_ends_in_a_timeout_and_the_mark_tells_what_became_of_the_commit(store, process, server, session):
    first, second, third = (next_state(server, session) for _ in range(3))
    store.commit(first, replaces=None)
    os.kill(process.pid, signal.SIGSTOP)
    try:
        with pytest.raises(StoreUnavailableError):
            store.commit(second, replaces=first.mark)
    finally:
        os.kill(process.pid, signal.SIGCONT)
    held = store.mark()
    assert held in (first.mark, second.mark)
    assert store.commit(third, replaces=held) in (third.mark, second.mark)


def test_commit_is_sent_once_although_the_connection_broke(store, process, client, server, session):
    first, second = next_state(server, session), next_state(server, session)
    store.commit(first, replaces=None)
    before = calls(client)["evalsha"]
    os.kill(process.pid, signal.SIGSTOP)
    going_on = threading.Timer(1.5, os.kill, (process.pid, signal.SIGCONT))
    going_on.start()
    with pytest.raises(StoreUnavailableError):
        store.commit(second, replaces=first.mark)
    going_on.join()
    with redis.Redis.from_url(process.url) as later:
        later.ping()  # over a connection that is newer than those that the commit could have come on: they were read
        assert calls(later)["evalsha"] <= before + 1


def test_state_survives_kill_9_of_the_store(tmp_path, server, session, part_bytes):
    with running_store(tmp_path) as process:
        store = WeightStore(process.url, "adql", part_bytes=part_bytes)
        mark = None
        for _ in range(3):
            state = next_state(server, session)
            assert store.commit(state, mark) == state.mark
            mark = state.mark
            process.kill()
            process.start()
            store.close()
            assert store.read().mark == mark
        store.close()
