import json
import random

import numpy as np
import pytest

from adql.config import SignatureSettings
from adql.errors import InvalidTransitionError, WrongRunError
from adql.types import TransitionBatch
from adql.wire import codec, replay_format
from adql.wire.replay_client import ReplayClient
from tests.clocks import SleepingClock
from tests.wire.scripted_server import (
    LIMIT_SECONDS,
    answering,
    closing_after,
    late,
    ok,
    read_request,
    recording,
    scripted_server,
)

SIGNATURE = SignatureSettings(observation_shape=(2,), actions=3)
REFUSED = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\nretry-after-ms: 50\r\n\r\n"
INSERTED = ok(b'{"inserted":2,"duplicate":false,"size":2,"incarnation":1}')


def client_of(address, clock=None, **settings):
    clock = clock or SleepingClock()
    given = {"token": lambda: None, "signature": SIGNATURE, "session": "s", "config_hash": "c"}
    return ReplayClient(address, **given, clock=clock, sleep=clock.sleep, rng=random.Random(1), **settings)


def batch(count=2):
    observation = np.arange(2 * count, dtype=np.float32).reshape(count, 2)
    return TransitionBatch(observation, np.zeros(count, np.int32), *np.ones((2, count), np.float32), observation + 1)


def sampled(first_batch, incarnation=1, batches=2, value=0.0):
    columns = batch(2 * batches).columns()
    columns["reward"] += np.float32(value)
    ids = np.arange(2 * batches, dtype=np.uint64)
    fields = {"batch_size": 2, "first_batch": first_batch, "incarnation": incarnation, "size": 9}
    arrays = columns | {"item_ids": ids, "probabilities": np.full(2 * batches, 0.5)}
    return ok(b"".join(codec.encode(fields, arrays)))


def problem(status, kind):
    body = json.dumps({"type": f"urn:adql:{kind}", "detail": "no"}).encode()
    return b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body)


def inserted_chunk(request):
    body = request.partition(b"\r\n\r\n")[2]
    return codec.decode(body, replay_format.insert_arrays(SIGNATURE)).integer("chunk")


def test_refused_request_that_may_wait_comes_no_sooner_than_the_table_asked(tmp_path):
    clock = SleepingClock()
    with scripted_server(tmp_path, answering(REFUSED, REFUSED, INSERTED)) as address:
        client = client_of(address, clock)
        assert not client.insert(batch(), 1.0)
        assert not client.insert(batch())  # the other verb may be tried at once
        assert clock.now == 0.0
        assert client.insert(batch(), 1.0)
        client.close()
    assert clock.now == pytest.approx(0.05)


def test_refused_sample_that_may_wait_comes_no_sooner_than_the_table_asked(tmp_path):
    clock = SleepingClock()
    with scripted_server(tmp_path, answering(REFUSED, sampled(0))) as address:
        client = client_of(address, clock)
        client.begin_sample(2, 2, 1.0)
        assert client.finish_sample() is None
        client.begin_sample(2, 2, 1.0)
        assert len(client.finish_sample()) == 2
        client.close()
    assert clock.now == pytest.approx(0.05)


def test_an_insert_whose_answer_is_lost_comes_again_under_its_chunk_number(tmp_path):
    log = []

    def swallow(peer):
        log.append(read_request(peer))

    with scripted_server(tmp_path, swallow, recording(log, INSERTED, INSERTED)) as address:
        client = client_of(address)
        assert client.insert(batch())
        assert client.insert(batch())
        client.close()
    assert [inserted_chunk(request) for request in log] == [0, 0, 1]


def test_a_refused_insert_is_false_and_keeps_its_chunk_number(tmp_path):
    log, clock = [], SleepingClock()
    with scripted_server(tmp_path, recording(log, REFUSED, INSERTED, INSERTED)) as address:
        client = client_of(address, clock)
        assert [client.insert(batch()) for _ in range(3)] == [False, True, True]
        client.close()
    assert [inserted_chunk(request) for request in log] == [0, 0, 1]
    assert clock.slept == []


def test_a_refused_sample_is_none_without_sleeping(tmp_path):
    clock = SleepingClock()
    with scripted_server(tmp_path, answering(REFUSED)) as address:
        client = client_of(address, clock)
        client.begin_sample(2, 2)
        assert client.finish_sample() is None
        client.close()
    assert clock.slept == []


def test_a_service_that_is_away_is_a_refusal_after_the_deadline_and_no_busy_loop(tmp_path):
    clock = SleepingClock()
    client = client_of(f"unix:{tmp_path}/nobody.sock", clock, deadline_seconds=5.0)
    assert client.insert(batch()) is False
    client.begin_sample(1, 1)
    assert client.finish_sample() is None
    client.update_priorities([], [])
    assert clock.now <= 10.0
    assert 2 <= len(clock.slept) <= 60


def test_a_sample_outlives_a_restart_of_the_service(tmp_path):
    with scripted_server(tmp_path, closing_after(sampled(0)), answering(sampled(0, incarnation=2))) as address:
        client = client_of(address)
        incarnations = []
        for _ in range(2):
            client.begin_sample(2, 2)
            incarnations += [sample.info.incarnation for sample in client.finish_sample()]
        client.close()
    assert incarnations == [1, 1, 2, 2]


def test_a_connection_lost_while_a_sample_is_under_way_is_asked_again(tmp_path):
    with scripted_server(tmp_path, lambda peer: read_request(peer) and None, answering(sampled(0))) as address:
        client = client_of(address)
        client.begin_sample(2, 2)
        assert len(client.finish_sample()) == 2
        client.close()


def test_a_damaged_sample_is_asked_for_again(tmp_path):
    damaged = sampled(0)[:-1] + b"\1"
    retries = []
    with scripted_server(tmp_path, answering(damaged, sampled(2))) as address:
        client = client_of(address, on_retry=retries.append)
        client.begin_sample(2, 2)
        assert len(client.finish_sample()) == 2
        client.close()
    assert [error.kind for error in retries] == ["transport"]


@pytest.mark.parametrize("verb", ["insert", "sample"])
def test_a_request_that_may_wait_has_its_own_limit_and_the_wait(tmp_path, monkeypatch, verb):
    monkeypatch.setattr("adql.wire.replay_client.TIMEOUT_SECONDS", LIMIT_SECONDS)
    retries = []

    with scripted_server(tmp_path, late(INSERTED if verb == "insert" else sampled(0))) as address:
        client = client_of(address, on_retry=retries.append)
        if verb == "insert":
            assert client.insert(batch(), wait_seconds=5.0)
        else:
            client.begin_sample(2, 2, wait_seconds=5.0)
            assert len(client.finish_sample()) == 2
        client.close()
    assert retries == []


def test_samples_are_cut_into_batches_and_do_not_change_with_the_next_answer(tmp_path):
    with scripted_server(tmp_path, answering(sampled(0), sampled(2, value=7.0))) as address:
        client = client_of(address)
        client.begin_sample(2, 2)
        first = client.finish_sample()
        client.begin_sample(2, 2)
        client.finish_sample()
        client.close()
    assert [list(sample.info.item_ids) for sample in first] == [[0, 1], [2, 3]]
    assert [list(sample.transitions.reward) for sample in first] == [[1, 1], [1, 1]]
    assert first[0].info.table_size == 9


def test_unused_batches_are_given_back_by_number(tmp_path):
    log = []
    bulk = answering(sampled(40, batches=3))
    with scripted_server(tmp_path, bulk, recording(log, ok(b'{"returned":2}'))) as address:
        client = client_of(address)
        client.begin_sample(3, 2)
        samples = client.finish_sample()
        client.close()  # the scripted server takes one connection at a time
        client.give_back(samples[1:])
        client.close()
    assert json.loads(log[0].partition(b"\r\n\r\n")[2]) == {"incarnation": 1, "batches": [41, 42]}


@pytest.mark.parametrize(
    ("answer", "error"),
    [(problem(412, "wrong_run"), WrongRunError), (problem(422, "invalid_transition"), InvalidTransitionError)],
)
def test_what_is_wrong_for_ever_is_raised(tmp_path, answer, error):
    with scripted_server(tmp_path, answering(answer)) as address:
        client = client_of(address)
        with pytest.raises(error):
            client.insert(batch())
        client.close()
