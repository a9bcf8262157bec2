import random
import shutil
import signal
from contextlib import closing

import numpy as np
import pytest

from adql.types import TransitionBatch
from adql.wire import routes
from adql.wire.connection import Connection
from adql.wire.replay_client import ReplayClient
from tests.background import Background
from tests.replay.tables import numbers_of, transitions
from tests.services.replay_process import (
    RunningReplay,
    replay_client,
    replay_run,
    running_replay,
    started_replay,
    wait_until_ready,
)
from tests.waiting import wait_until

pytestmark = pytest.mark.system


TABLE = {"capacity": 20_000, "sampler": "prioritised"}
RUN = replay_run(64, **TABLE, snapshot_seconds=None)
BUSY = replay_run(64, **TABLE, snapshot_seconds=0.02)


def kill(running: RunningReplay) -> None:
    running.process.send_signal(signal.SIGKILL)
    running.process.wait(20)


def snapshot(address: str) -> None:
    with closing(Connection(address, token=lambda: None)) as connection:
        connection.request("POST", routes.SNAPSHOT)


def chunk(first: int) -> TransitionBatch:
    return TransitionBatch(**transitions(first, 50))


def draw(client: ReplayClient):
    client.begin_sample(8, 64)
    return client.finish_sample()


def test_a_table_that_was_asked_to_end_comes_back_whole(tmp_path):
    with running_replay(tmp_path, RUN) as running, closing(replay_client(running.address, RUN)) as client:
        assert client.insert(chunk(0))
        assert client.insert(chunk(50))
        draw(client)
        before = client.table()
    with running_replay(tmp_path, RUN) as running, closing(replay_client(running.address, RUN)) as client:
        after = client.table()
        assert after["incarnation"] == before["incarnation"] + 1
        for key in ("size", "inserts", "samples", "priority_mean"):
            assert after[key] == before[key]


def test_a_killed_table_restarts_from_its_last_snapshot_and_ignores_what_came_before(tmp_path):
    with running_replay(tmp_path, RUN) as running, closing(replay_client(running.address, RUN)) as client:
        assert all(client.insert(chunk(first)) for first in range(0, 200, 50))
        old = draw(client)
        snapshot(running.address)
        assert client.insert(chunk(200))
        kill(running)
        with running_replay(tmp_path, RUN) as restarted:
            assert client.table()["size"] == 200
            client.update_priorities(old, [np.full(64, 1e9, np.float32)] * 8)
            assert client.table()["priority_max"] == 1.0
            assert all(number < 200 for sample in draw(client) for number in numbers_of(sample.transitions.columns()))
            assert restarted.process.pid != running.process.pid


def test_a_table_that_restarts_empty_is_waited_for_and_never_trained_on_below_min_size(tmp_path):
    with running_replay(tmp_path, RUN) as running, closing(replay_client(running.address, RUN)) as client:
        assert all(client.insert(chunk(first)) for first in range(0, 200, 50))
        assert draw(client) is not None
        kill(running)
        with running_replay(tmp_path, RUN):
            assert draw(client) is None
            assert client.insert(chunk(0))
            assert draw(client) is None
            assert client.insert(chunk(50))
            assert len(draw(client)) == 8


class Inserter(Background):
    """Inserts numbered transitions one chunk after the other until told to stop; outages are ridden out."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self._client = replay_client(address, BUSY, sleep=self.sleep)
        self.acknowledged = 0

    def work(self) -> None:
        with closing(self._client):
            while not self.stopping.is_set():
                if self._client.insert(chunk(self.acknowledged)):
                    self.acknowledged += 50


def test_kills_during_inserts_and_snapshots_tear_nothing_and_lose_nothing_older_than_the_last_snapshot(tmp_path):
    """Ten kills at random moments while snapshots are written all the time.

    Whatever was acknowledged before the last whole snapshot is there again, and every transition that is drawn is, byte
    for byte, one that was inserted.
    """
    rng = random.Random(5)
    inserter = Inserter(f"unix:{tmp_path}/replay.sock")
    inserter.start()
    expected = 0
    try:
        for _ in range(10):
            with running_replay(tmp_path, BUSY) as running, closing(replay_client(running.address, BUSY)) as client:
                assert client.table()["inserts"] >= expected
                wait_for_inserts(client, expected + rng.randrange(50, 1_000))
                expected = acknowledged_and_in_a_snapshot(client, running.address)
                check_samples(client)
                wait_for_inserts(client, expected + rng.randrange(1_000))
                kill(running)
    finally:
        inserter.stop()


def wait_for_inserts(client: ReplayClient, count: int) -> None:
    wait_until(lambda: client.table()["inserts"] >= count)


def acknowledged_and_in_a_snapshot(client: ReplayClient, address: str) -> int:
    inserts = client.table()["inserts"]
    snapshot(address)
    return int(inserts)


def check_samples(client: ReplayClient) -> None:
    for sample in wait_until(lambda: draw(client)):
        numbers_of(sample.transitions.columns())


def test_a_half_written_snapshot_on_the_volume_is_passed_over_and_logged(tmp_path):
    with running_replay(tmp_path, RUN) as running, closing(replay_client(running.address, RUN)) as client:
        assert all(client.insert(chunk(first)) for first in range(0, 200, 50))
        snapshot(running.address)
    newest = max((tmp_path / "volume").glob("*.snapshot"))
    newest.write_bytes(newest.read_bytes()[:-40])
    with running_replay(tmp_path, RUN) as running, closing(replay_client(running.address, RUN)) as client:
        assert client.table()["size"] == 200
    assert "is corrupt" in (tmp_path / "log").read_text()


def test_a_last_snapshot_that_cannot_be_written_is_one_line_and_exit_code_1(tmp_path):
    with started_replay(tmp_path, RUN, f"unix:{tmp_path}/replay.sock") as process:
        wait_until_ready(process, f"unix:{tmp_path}/side.sock")
        shutil.rmtree(tmp_path / "volume")
        (tmp_path / "volume").touch()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 1
    assert "error: no snapshot: Not a directory" in (tmp_path / "log").read_text().splitlines()[-1]


def test_a_volume_of_another_run_is_one_line_and_exit_code_2(tmp_path):
    with running_replay(tmp_path, RUN) as running, closing(replay_client(running.address, RUN)) as client:
        assert client.insert(chunk(0))
    other = replay_run(64, **TABLE, snapshot_seconds=None, min_size=50)
    with started_replay(tmp_path, other, f"unix:{tmp_path}/replay.sock") as process:
        assert process.wait(20) == 2
    assert "another run or configuration" in (tmp_path / "log").read_text().splitlines()[-1]
