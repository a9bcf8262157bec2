"""A pickle that would leave a file behind, sent and stored wherever bytes are read: the file never appears."""

import hashlib
import io
import json
import pickle
from contextlib import closing

import msgspec
import numpy as np
import pytest
import redis

from adql.config import ParameterServerSettings, load_specification, to_yaml
from adql.errors import CheckpointError
from adql.parameters.checkpoints import INDEX, Entry, read_checkpoint
from adql.replay import Snapshots
from adql.replay.segments import MAGIC, write_segment
from adql.wire import codec, routes
from adql_services import cli
from adql_services.parameter_server.opening import open_run
from tests.parameters.servers import tiny_specification
from tests.replay.tables import make_table
from tests.services.parameter_process import ServerProcess
from tests.services.plain_http import ask, operations
from tests.services.replay_process import FREE, running_replay
from tests.store_process import running_store

BULK = [routes.UPDATES, routes.INSERT, routes.PRIORITIES]
TYPES = [routes.BINARY, routes.JSON, "application/octet-stream", "application/x-pickle"]


class Bomb:
    """Makes a file as soon as it is unpickled."""

    def __init__(self, marker: str) -> None:
        self._marker = marker

    def __reduce__(self):
        return open, (self._marker, "w")


@pytest.fixture
def marker(tmp_path):
    """The file; it must not be there at the end."""
    marker = tmp_path / "marker"
    yield marker
    assert not marker.exists()


@pytest.fixture
def bomb(marker) -> bytes:
    return pickle.dumps(Bomb(str(marker)))


def bodies(bomb: bytes, marker) -> list[bytes]:
    """The bomb bare, as an array of objects, and behind the prefix of a real body."""
    array = io.BytesIO()
    np.save(array, np.array([Bomb(str(marker))], dtype=object), allow_pickle=True)
    head = bytes(codec.encode({}, {})[0])
    return [bomb, array.getvalue(), head + bomb, head[:16] + bomb]


def test_the_bomb_goes_off_where_it_is_unpickled(tmp_path):
    pickle.loads(pickle.dumps(Bomb(str(tmp_path / "marker")))).close()
    assert (tmp_path / "marker").exists()


@pytest.fixture(scope="module")
def addresses(tmp_path_factory):
    """A parameter server and a replay service."""
    place = tmp_path_factory.mktemp("services")
    with (
        running_store(place / "store") as store,
        running_replay(place, FREE) as replay,
        ServerProcess(place / "server", tiny_specification(), store.url) as server,
    ):
        yield server.listen, replay.address


@pytest.mark.system
def test_bomb_as_the_body_of_any_route_is_refused(addresses, bomb, marker):
    seen = set()
    for address in addresses:
        for method, path in operations(address):
            for kind in TYPES if method == "POST" else []:
                statuses = {
                    ask(address, method, path, {"Content-Type": kind}, body).status for body in bodies(bomb, marker)
                }
                allowed = {413, 415, 422} if path in BULK else {400, 413, 415, 422}
                assert statuses <= allowed or path == routes.SNAPSHOT, (path, kind, statuses)
                seen.add(path)
    assert seen >= set(BULK)


@pytest.mark.parametrize("field", ["record", "parameters", "checksums", "rule:velocity"])
def test_bomb_in_the_store_is_refused_in_one_line(tmp_path, bomb, field):
    run = tiny_specification(update={"rule": "delta", "outer_momentum": 0.5})
    with running_store(tmp_path / "store") as store:
        settings = ParameterServerSettings(directory=tmp_path / "volume", redis_url=store.url, auth=False)
        open_run(run, settings).store.close()
        with closing(redis.Redis.from_url(store.url)) as admin:
            admin.hset("adql:adql", field, bomb)
        with pytest.raises(CheckpointError, match=r"stored state is damaged: .*adql restore") as refused:
            open_run(run, settings)
    assert "\n" not in str(refused.value)


@pytest.mark.system
def test_server_over_a_bomb_in_the_store_ends_with_exit_code_2(tmp_path, bomb, marker):
    with running_store(tmp_path / "store") as store:
        with ServerProcess(tmp_path / "server", tiny_specification(), store.url) as server:
            assert server.terminate() == 0
        with closing(redis.Redis.from_url(store.url)) as admin:
            admin.hset("adql:adql", "record", bomb)
        assert server.start(ready=False).process.wait(20) == 2
    assert "Traceback" not in server.log()
    assert server.log().splitlines()[-1].startswith("adql: error: stored state is damaged")


@pytest.fixture
def run_folder(tmp_path):
    """The folder of a run as far as `adql evaluate` and `adql restore` look at it."""
    signature = {"observation_shape": [4], "actions": 2, "reward_threshold": 475.0}
    folder = tmp_path / "run"
    (folder / "checkpoints").mkdir(parents=True)
    specification = load_specification(None, [f"environment.signature={json.dumps(signature)}"], {})
    (folder / "run.yaml").write_text(to_yaml(specification))
    return folder


def test_bomb_as_a_policy_is_refused_in_one_line(run_folder, bomb, marker, capsys):
    (run_folder / "policy-best.safetensors").write_bytes(bomb)
    assert cli.main(["evaluate", str(run_folder), "--episodes", "1"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_bomb_as_a_checkpoint_with_the_right_hash_is_refused_in_one_line(run_folder, bomb, marker, capsys):
    checkpoints = run_folder / "checkpoints"
    (checkpoints / "1.1.1.safetensors").write_bytes(bomb)
    entry = Entry("1.1.1.safetensors", 1, 1, hashlib.sha256(bomb).hexdigest())
    (checkpoints / INDEX).write_bytes(msgspec.json.encode([entry]))
    with pytest.raises(CheckpointError):
        read_checkpoint(checkpoints / "1.1.1.safetensors")
    assert cli.main(["restore", str(run_folder)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("head", [None, "bomb", b"[]", b"{}", b"1"])
def test_bomb_as_a_replay_snapshot_is_passed_over(tmp_path, bomb, marker, head):
    """Bare, or in segments whose checksums hold."""
    content = io.BytesIO()
    if head:
        content.write(MAGIC)
        for kind, payload in ((b"HEAD", bomb if head == "bomb" else head), (b"ROWS", bomb), (b"TAIL", b"")):
            write_segment(content, kind, payload)
    place = tmp_path / "volume"
    place.mkdir()
    (place / f"{0:020d}.snapshot").write_bytes(content.getvalue() or bomb)
    table = make_table()
    (refused,) = Snapshots(place, "run").restore(table)
    assert "is corrupt" in str(refused) and len(table) == 0
