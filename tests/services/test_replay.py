import itertools
import json
import time
from contextlib import closing

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adql.config import config_hash, load_specification
from adql.errors import AdqlError, RateLimitedError, UnauthorizedError
from adql.types import TransitionBatch
from adql.wire import codec, routes
from adql.wire.connection import Connection
from adql_services.replay.app import _Limits
from tests.replay.tables import numbers_of, transitions
from tests.services.memory import memory
from tests.services.plain_http import ask
from tests.services.raw_socket import wait_until_waiting
from tests.services.replay_process import FREE, replay_client, replay_run, running_replay
from tests.waiting import wait_until

LIMITED = replay_run(samples_per_insert=4.0)


def insert_body(columns=None, **fields):
    known = {"session": "raw", "chunk": 0, "config_hash": config_hash(FREE)}
    return b"".join(codec.encode(known | fields, transitions(0, 3) if columns is None else columns))


@pytest.fixture(scope="module")
def free(tmp_path_factory):
    with running_replay(tmp_path_factory.mktemp("free"), FREE) as running:
        yield running


@pytest.fixture
def limited(tmp_path):
    with running_replay(tmp_path, LIMITED) as running:
        yield running


@pytest.fixture
def raw(free):
    connection = Connection(free.address, token=lambda: None)
    yield connection
    connection.close()


def test_every_sampled_transition_is_an_inserted_one_byte_for_byte(free):
    client = replay_client(free.address, FREE, session="bytes")
    for first in range(0, 3_000, 60):
        assert client.insert(TransitionBatch(**transitions(first, 60)))
    client.begin_sample(8, 32)
    samples = client.finish_sample()
    assert len(samples) == 8
    assert all(len(numbers_of(sample.transitions.columns())) == 32 for sample in samples)
    assert client.table()["size"] == 2_000
    client.close()


def test_priorities_that_come_back_change_what_is_drawn(free):
    client = replay_client(free.address, FREE, session="priorities")
    for first in range(0, 2_000, 100):
        assert client.insert(TransitionBatch(**transitions(first, 100)), td_errors=np.zeros(100, np.float32))
    client.begin_sample(1, 32)
    (sample,) = client.finish_sample()
    client.update_priorities([sample], [np.full(32, 1e6, np.float32)])
    client.begin_sample(8, 32)
    drawn = np.concatenate([s.info.item_ids for s in client.finish_sample()])
    assert np.isin(drawn, sample.info.item_ids).mean() > 0.9
    client.close()


def test_a_learner_that_is_too_fast_waits_until_the_other_side_moves(limited):
    """Where the machine stands still for the second that an insert may wait, the next one shows it as well."""
    with (
        closing(replay_client(limited.address, LIMITED)) as filling,
        closing(replay_client(limited.address, LIMITED, session="b")) as sampling,
        Connection(limited.address, token=lambda: None) as waiting,
    ):
        numbers, outcomes = itertools.count(), []

        def went_on_with_a_sample() -> bool:
            assert not all(filling.insert(TransitionBatch(**transitions(0, 50))) for _ in range(100))
            body = insert_body(transitions(0, 50), chunk=next(numbers), config_hash=config_hash(LIMITED))
            waiting.begin("POST", f"{routes.INSERT}?wait=1", headers=BINARY, body=[body])
            wait_until_waiting(waiting, limited.address)
            start = time.monotonic()
            sampling.begin_sample(8, 32)
            assert sampling.finish_sample() is not None
            try:
                inserted = json.loads(bytes(waiting.finish().body))["inserted"]
            except RateLimitedError:
                return False
            outcomes.append((inserted, time.monotonic() - start))
            return inserted == 50 and time.monotonic() - start < 0.5

        wait_until(went_on_with_a_sample, seconds=20, what=lambda: str(outcomes))


def test_a_wait_that_comes_to_nothing_ends_within_its_second_and_says_when_to_come_again(limited):
    connection = Connection(limited.address, token=lambda: None)
    start = time.monotonic()
    query = f"batches=1&batch_size=1&session=a&config_hash={config_hash(LIMITED)}&wait=20"
    with pytest.raises(RateLimitedError, match="below min_size") as refusal:
        connection.request("POST", f"{routes.SAMPLE}?{query}")
    assert 0.9 < time.monotonic() - start < 5.0
    assert refusal.value.details["retry_after_ms"] == 50
    connection.close()


def poisoned(name, value):
    columns = transitions(0, 3)
    columns[name][1] = value
    return insert_body(columns)


BINARY = {"Content-Type": routes.BINARY}
JSON = {"Content-Type": routes.JSON}
SAMPLE = f"{routes.SAMPLE}?session=a&config_hash={config_hash(FREE)}"
BAD_REQUESTS = {
    "no body": ("POST", routes.INSERT, BINARY, b"", 422),
    "noise": ("POST", routes.INSERT, BINARY, b"\x00" * 64, 422),
    "media type": ("POST", routes.INSERT, JSON, b"{}", 415),
    "too large": ("POST", routes.INSERT, BINARY, bytes(1_000_000), 413),
    "wrong columns": ("POST", routes.INSERT, BINARY, insert_body({"reward": np.ones(3, np.float32)}), 422),
    "no rows": ("POST", routes.INSERT, BINARY, insert_body(transitions(0, 0)), 422),
    "not a number": ("POST", routes.INSERT, BINARY, poisoned("reward", np.nan), 422),
    "infinite": ("POST", routes.INSERT, BINARY, poisoned("observation", np.inf), 422),
    "action": ("POST", routes.INSERT, BINARY, poisoned("action", 3), 422),
    "discount": ("POST", routes.INSERT, BINARY, poisoned("discount", 2), 422),
    "configuration": ("POST", routes.INSERT, BINARY, insert_body(config_hash="other"), 412),
    "chunk": ("POST", routes.INSERT, BINARY, insert_body(chunk=-1), 422),
    "chunk kind": ("POST", routes.INSERT, BINARY, insert_body(chunk="x"), 422),
    "session": ("POST", routes.INSERT, BINARY, insert_body(session="x" * 129), 422),
    "wait": ("POST", f"{routes.INSERT}?wait=nan", BINARY, insert_body(), 422),
    "sample of nothing": ("POST", f"{SAMPLE}&batches=0&batch_size=1", {}, b"", 422),
    "sample without size": ("POST", SAMPLE, {}, b"", 422),
    "sample too large": ("POST", f"{SAMPLE}&batches=9&batch_size=32", {}, b"", 422),
    "sample of another run": ("POST", f"{routes.SAMPLE}?session=a&config_hash=x&batches=1&batch_size=1", {}, b"", 412),
    "priorities": ("POST", routes.PRIORITIES, BINARY, b"ADQL", 422),
    "return": ("POST", routes.RETURN, JSON, b'{"incarnation": 1, "batches": ["1"]}', 422),
    "return of anything": ("POST", routes.RETURN, JSON, b"[1", 422),
    "nowhere": ("GET", "/v1/nothing", {}, b"", 404),
}


@pytest.mark.parametrize("case", BAD_REQUESTS)
def test_a_bad_request_is_refused_and_changes_nothing(raw, case):
    method, path, headers, body, status = BAD_REQUESTS[case]
    before = raw.request("GET", routes.TABLE).body.tobytes()
    with pytest.raises(AdqlError) as refusal:
        raw.request(method, path, headers=headers, body=[body])
    assert refusal.value.status == status
    assert b'"inserts":' in before
    assert counters(raw.request("GET", routes.TABLE).body.tobytes()) == counters(before)


def counters(table):
    return [part for part in table.split(b",") if part.startswith((b'"inserts"', b'"samples"', b'{"size"'))]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_insert_is_never_a_server_error(raw, data):
    body = bytearray(insert_body())
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        raw.request("POST", routes.INSERT, headers=BINARY, body=[bytes(body[: data.draw(st.integers(1, len(body)))])])
    except AdqlError as refusal:
        assert 400 <= refusal.status < 500


def test_without_a_token_nothing_is_answered(tmp_path):
    (tmp_path / "token").write_text("right\n")
    with running_replay(tmp_path, FREE, auth=True, token_file=str(tmp_path / "token")) as running:
        with closing(replay_client(running.address, FREE, token="right")) as client:
            assert client.table()["size"] == 0
        with closing(Connection(running.address, token=lambda: "wrong")) as wrong, pytest.raises(UnauthorizedError):
            wrong.request("GET", routes.OPENAPI)
        with closing(replay_client(running.address, FREE, token="wrong")) as client, pytest.raises(UnauthorizedError):
            client.table()


def test_a_sample_is_no_get_since_it_counts(free):
    answer = ask(free.address, "GET", f"{SAMPLE}&batches=1&batch_size=1")
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


def test_description_names_every_route(raw):
    described = json.loads(bytes(raw.request("GET", routes.OPENAPI).body))["paths"]
    own = (routes.INSERT, routes.SAMPLE, routes.PRIORITIES, routes.RETURN, routes.SNAPSHOT, routes.TABLE)
    assert set(described) == set(own)
    assert "requestBody" in described[routes.INSERT]["post"] and "requestBody" not in described[routes.SAMPLE]["post"]


def test_the_side_port_is_ready_and_shows_the_table(free):
    side = Connection(free.side, token=lambda: None)
    assert side.request("GET", routes.READYZ).status == 200
    client = replay_client(free.address, FREE, session="metrics")
    client.insert(TransitionBatch(**transitions(0, 10)))
    text = side.request("GET", routes.METRICS).body.tobytes().decode()
    for name in ("size_transitions", "size_bytes", "inserts_total", "samples_total", "limiter_error", "learners"):
        assert f"adql_replay_{name} " in text
    client.close()
    side.close()


def test_memory_stays_bounded_when_ten_times_the_capacity_is_inserted(free):
    client = replay_client(free.address, FREE, session="memory")
    chunk = TransitionBatch(**transitions(0, 1_000))
    for _ in range(20):
        client.insert(chunk)
    before = memory(free.process.pid)
    for _ in range(60):
        assert client.insert(chunk)
    assert client.table()["bytes"] == 2_000 * 44
    assert memory(free.process.pid) - before < 16 * 1024**2
    client.close()


def test_largest_chunk_that_a_learner_can_make_fits_into_an_insert():
    """Every copy can close n windows in the step that fills a chunk."""
    images = "environment.signature={observation_shape: [84, 84, 4], observation_dtype: uint8, actions: 4}"
    specification = load_specification(None, [images, "replay.chunk_transitions=1", "replay.capacity=1000"], {})
    row_bytes = 2 * 84 * 84 * 4 + 12
    assert _Limits(specification).insert_bytes >= 8 * 3 * row_bytes
