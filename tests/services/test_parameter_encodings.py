"""Narrow encodings between a real client and a real parameter server; the store tells what the server holds."""

import contextlib
import time

import numpy as np
import pytest

from adql.agent.merging import Elastic
from adql.config import RunSpecification
from adql.encodings import from_wire, to_wire
from adql.errors import AdqlError, InvalidUpdateError, MalformedBodyError
from adql.parameters.store import WeightStore
from adql.types import Float32Array, Version
from adql.wire import codec, routes
from adql.wire.connection import Connection
from adql.wire.parameter_client import ParameterClient
from tests.parameters.servers import SIZE, tiny_specification
from tests.services.parameter_process import ServerProcess
from tests.store_process import running_store

pytestmark = pytest.mark.system
ENCODINGS = ["float32", "float16", "bfloat16"]
FINE = np.array([0.1, -1 / 3, 1e-3, 7.7], np.float32)
"""Every narrow encoding rounds each of them."""


def encoded_run(encoding: str, initial_value: float = 0.0, **changes) -> RunSpecification:
    """A table of four numbers that adds what it is sent."""
    update = {"rule": "delta", "outer_learning_rate": 1.0, "encoding": encoding}
    changes.setdefault("evaluation", {"every_learner_steps": 1, "duty": 1.0, "episodes": 2, "confirm_episodes": 5})
    return tiny_specification(
        network={"kind": "tabular", "initial_value": initial_value},
        update=update | changes.pop("update", {}),
        **changes,
    )


@contextlib.contextmanager
def serving(directory, specification):
    """Yields store, server and a client that has not registered."""
    with running_store(directory / "store") as store:
        with ServerProcess(directory / "server", specification, store.url) as server:
            with contextlib.closing(server.client(durable=True)) as client:
                yield store, server, client


def stored(store, server) -> Float32Array:
    """Returns the committed float32 parameters."""
    reading = WeightStore(store.url, server.specification.run.name)
    try:
        return reading.read().parameters
    finally:
        reading.close()


def push(client: ParameterClient, vector: Float32Array, based_on: Version | None = None):
    """Pushes one update, on top of the newest version unless told; returns what the server read and its answer."""
    sent = client.begin_push(vector, based_on or client.state.version, 1, 0)
    return sent, client.finish_push()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_server_adds_what_the_client_says_it_read_and_answers_in_the_same_encoding(tmp_path, encoding):
    with serving(tmp_path, encoded_run(encoding, initial_value=0.1)) as (store, server, client):
        start = client.register()
        sent, answer = push(client, FINE)
        expected = np.float32(0.1) + sent
        np.testing.assert_array_equal(stored(store, server), expected, strict=True)
        np.testing.assert_array_equal(sent, from_wire(to_wire(FINE, encoding)), strict=True)
        np.testing.assert_array_equal(answer.parameters.vector, from_wire(to_wire(expected, encoding)), strict=True)
        np.testing.assert_array_equal(client.pull(None).vector, answer.parameters.vector, strict=True)
        assert start.vector.tolist() == from_wire(to_wire(np.full(SIZE, 0.1, np.float32), encoding)).tolist()
        one = SIZE * (4 if encoding == "float32" else 2)
        assert client.bulk_bytes == {("push", "sent"): one, ("push", "received"): one, ("pull", "received"): 2 * one}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_is_evaluated_is_the_servers_own_float32(tmp_path, encoding):
    with serving(tmp_path, encoded_run(encoding, initial_value=0.1)) as (store, server, client):
        client.register()
        push(client, FINE)
        with contextlib.closing(server.evaluator()) as evaluator:
            task = evaluator.next(wait_seconds=10)
        np.testing.assert_array_equal(task.parameters.vector, stored(store, server), strict=True)


def test_under_elastic_the_learner_and_the_server_move_by_the_same_d(tmp_path):
    specification = encoded_run(
        "bfloat16", update={"rule": "elastic", "elastic_alpha": 0.25, "outer_learning_rate": None}
    )
    with serving(tmp_path, specification) as (store, server, client):
        base, rule = client.register().vector, Elastic(lambda learners: 0.25)
        local = np.array([1.3, -1.7, 1.9, -1.1], np.float32)
        before = local.copy()
        for _ in range(3):
            sent, answer = push(client, rule.outgoing(local, base, 1))
            rule.merge(local, base, sent, answer.parameters.vector)
            base = answer.parameters.vector
        moved = (local.astype(np.float64) - before) + stored(store, server)
        assert moved.tolist() == [0.0] * SIZE
        assert not np.array_equal(local, before)


@pytest.mark.parametrize("encoding", ["float32", "bfloat16"])
def test_updates_sent_again_after_a_crash_are_what_they_were(tmp_path, encoding):
    never = {"commit_bytes_per_second": 1, "max_interval_seconds": 600.0}
    rare = {"every_learner_steps": 1_000, "episodes": 2, "confirm_episodes": 5}
    with serving(tmp_path, encoded_run(encoding, durability=never, evaluation=rare)) as (store, server, _):
        with contextlib.closing(server.client()) as client:
            base = client.register().version
            vectors = [factor * FINE for factor in (1, 2, 4)]
            read = [push(client, vector, base)[0] for vector in vectors]
            for vector in vectors:
                vector.fill(np.nan)  # the caller's own memory, which is not read any more
            server.kill()
            assert stored(store, server).tolist() == [0.0] * SIZE
            server.start()
            client.progress(0)
            assert (client.updates_resent, client.updates_lost, client.updates_at_risk) == (3, 0, 0)
            np.testing.assert_array_equal(client.pull(None).vector, from_wire(to_wire(sum(read), encoding)))


@pytest.mark.parametrize("vector", [FINE, to_wire(FINE, "float16"), to_wire(FINE, "bfloat16").view(np.uint16)])
def test_an_update_in_another_dtype_is_malformed_and_uses_no_sequence_up(tmp_path, vector):
    with serving(tmp_path, encoded_run("bfloat16")) as (_, server, client):
        client.register()
        fields = {"session": client.session, "sequence": 0, "epoch": 1, "version": 0}
        headers = {"Content-Type": routes.BINARY}
        with Connection(server.listen, token=lambda: None) as connection:
            with pytest.raises(MalformedBodyError, match="update must be bfloat16"):
                body = codec.encode(fields, {"update": vector})
                connection.request("POST", routes.UPDATES, headers=headers, body=body)
        assert push(client, FINE)[1].outcome == "applied"


def test_a_number_beyond_float16_is_refused_before_it_is_sent_and_the_session_goes_on(tmp_path):
    with serving(tmp_path, encoded_run("float16")) as (_, _, client):
        client.register()
        with pytest.raises(InvalidUpdateError, match="size 65536 does not fit float16, at most 65504"):
            push(client, np.full(SIZE, -65536, np.float32))
        assert push(client, FINE)[1].outcome == "applied"


def test_parameters_never_grow_beyond_what_can_be_sent_back(tmp_path):
    with serving(tmp_path, encoded_run("float16")) as (store, server, client):
        client.register()
        outcomes = [push(client, np.full(SIZE, 40_000, np.float32))[1].outcome for _ in range(2)]
        assert outcomes == ["applied", "invalid"]
        assert stored(store, server).tolist() == [40_000] * SIZE


def test_a_client_with_another_encoding_is_of_another_run(tmp_path):
    with serving(tmp_path, encoded_run("bfloat16")) as (_, server, _):
        stranger = ServerProcess(server.directory, encoded_run("float32"), "redis://unused")
        with contextlib.closing(stranger.client(sleep=time.sleep)) as client:
            with pytest.raises(AdqlError, match="configuration differs"):
                client.register()
