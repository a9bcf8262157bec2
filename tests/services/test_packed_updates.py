"""Updates packed by zstd between a real client and a real parameter server: the same state, the same refusals."""

import contextlib
import time
from types import SimpleNamespace

import numpy as np
import pytest

from adql.compression import compress
from adql.config import LearnerSettings, load_settings
from adql.errors import MalformedBodyError
from adql.wire import codec, routes
from adql.wire.connection import Connection
from adql.wire.packing import pack
from adql_services.learner.main import _parameter_client
from tests.parameters.servers import tiny_specification
from tests.services.test_parameter_encodings import ServerProcess, push, running_store, stored

pytestmark = pytest.mark.system
SIZE = 400
MALFORMED = {
    "garbled": pack(np.ones(SIZE, np.float32))[::-1].copy(),
    "truncated": pack(np.ones(SIZE, np.float32))[:-1],
    "with a byte behind it": np.append(pack(np.ones(SIZE, np.float32)), np.uint8(7)),
    "of another size": pack(np.ones(SIZE + 1, np.float32)),
    "a bomb": np.frombuffer(compress(bytes(10**8)), np.uint8)[: 4 * SIZE],
}


def long_run(encoding: str = "float32", **changes):
    """A table of 400 numbers under the rule ``delta`` with momentum, whose state tells of every bit pushed."""
    signature = {"observations": SIZE // 2, "actions": 2}
    update = {"rule": "delta", "outer_learning_rate": 0.7, "outer_momentum": 0.5, "encoding": encoding}
    return tiny_specification(environment={"signature": signature}, update=update, **changes)


def gradients(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [(rng.normal(size=SIZE) * (rng.random(SIZE) < 0.2)).astype(np.float32) for _ in range(count)]


@contextlib.contextmanager
def serving(folder, specification):
    with running_store(folder / "store") as store, ServerProcess(folder / "server", specification, store.url) as server:
        yield store, server


@pytest.mark.parametrize("encoding", ["float32", "bfloat16", "float16"])
def test_plain_and_packed_updates_lead_to_the_same_state_byte_by_byte(tmp_path, encoding):
    states, sent = {}, {}
    for compression in ("none", "zstd"):
        with serving(tmp_path / compression, long_run(encoding)) as (store, server):
            with contextlib.closing(server.client(durable=True, compression=compression)) as client:
                client.register()
                read = [push(client, gradient) for gradient in gradients(5)]
                assert [answer.outcome for _, answer in read] == ["applied"] * 5
                answered = [answer.parameters.vector.tobytes() for _, answer in read]
                states[compression] = (
                    [vector.tobytes() for vector, _ in read],
                    answered,
                    stored(store, server).tobytes(),
                )
                sent[compression] = client.bulk_bytes["push", "sent"]
    assert states["none"] == states["zstd"]
    assert sent["zstd"] < 0.7 * sent["none"]


def test_packed_updates_are_sent_again_after_a_crash_as_they_were(tmp_path):
    never = {"commit_bytes_per_second": 1, "max_interval_seconds": 600.0}
    rare = {"every_learner_steps": 1_000, "episodes": 2, "confirm_episodes": 5}
    specification = long_run("bfloat16", durability=never, evaluation=rare)
    with serving(tmp_path, specification) as (_, server):
        with contextlib.closing(server.client(compression="zstd")) as client:
            base = client.register().version
            for gradient in gradients(3):
                answer = push(client, gradient, base)[1]
            server.kill()
            server.start()
            client.progress(0)
            assert (client.updates_resent, client.updates_lost, client.updates_at_risk) == (3, 0, 0)
            np.testing.assert_array_equal(client.pull(None).vector, answer.parameters.vector, strict=True)


@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_a_learner_packs_where_its_own_settings_say_so(tmp_path, compression):
    settings = load_settings(LearnerSettings, {}, {"ADQL_COMPRESSION": compression, "ADQL_AUTH": "false"})
    with serving(tmp_path, long_run()) as (_, server):
        settings = settings.model_copy(update={"parameter_server_url": server.listen})
        network, worker = SimpleNamespace(manifest=SimpleNamespace(size=SIZE)), SimpleNamespace(sleep=time.sleep)
        with contextlib.closing(_parameter_client(server.specification, settings, network, worker)) as client:
            client.register()
            assert push(client, gradients(1)[0])[1].outcome == "applied"
            assert (client.bulk_bytes["push", "sent"] < 4 * SIZE) == (compression == "zstd")


@pytest.mark.parametrize("damage", sorted(MALFORMED))
def test_a_packed_update_that_is_none_is_malformed_and_nothing_is_applied(tmp_path, damage):
    with serving(tmp_path, long_run()) as (_, server):
        with contextlib.closing(server.client(durable=True, compression="zstd")) as client:
            before = client.register()
            fields = {"session": client.session, "sequence": 0, "epoch": 1, "version": 0}
            body = codec.encode(fields, {"update_zstd": MALFORMED[damage]})
            with Connection(server.listen, token=lambda: None) as connection:
                with pytest.raises(MalformedBodyError, match="zstd frame") as refusal:
                    connection.request("POST", routes.UPDATES, headers={"Content-Type": routes.BINARY}, body=body)
            assert refusal.value.status == 422 and "\n" not in str(refusal.value)
            assert client.pull(before.version) is None
            assert push(client, gradients(1)[0])[1].outcome == "applied"  # with sequence 0: none was used up
