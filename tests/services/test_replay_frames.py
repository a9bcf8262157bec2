"""A real replay service of stacked frames, over the wire."""

import time
from contextlib import closing

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adql.config import FRAME_OVERHEAD_BYTES, config_hash, specification_from
from adql.errors import AdqlError, ConfigError
from adql.types import TransitionBatch
from adql.wire import codec, routes
from adql.wire.connection import Connection
from adql.wire.replay_format import check_table
from adql.wire.replay_frames import folded
from adql_services.replay.main import make_table
from tests.services.replay_process import replay_client, running_replay

SIDE, STACK, CAPACITY, N_STEPS = 16, 4, 500, 3
FRAME_BYTES = SIDE * SIDE
ROW_BYTES = 2 * STACK * 4 + 12


def specification(capacity_bytes: int = 2**20, **replay):
    signature = {"observation_shape": [STACK, SIDE, SIDE], "observation_dtype": "uint8", "frame_stack": STACK}
    limits = {"min_size": 50, "samples_per_insert": None, "chunk_transitions": 32, "snapshot_seconds": None}
    return specification_from(
        {
            "environment": {"frame_stack": STACK, "signature": signature | {"actions": 3}, "copies": 2},
            "algorithm": {"batch_size": 32, "n_steps": N_STEPS},
            "replay": {"capacity": CAPACITY, "capacity_bytes": capacity_bytes, **limits, **replay},
        }
    )


RUN = specification()


def steps(first: int, count: int, episode: int = 40) -> TransitionBatch:
    """Transitions number ``first`` and following of one endless row of episodes; each frame says where it is."""
    numbers = np.arange(first, first + count)
    index = (numbers // episode)[:, None]
    start, places = index * episode, np.arange(-STACK + 1, 1)
    observed = index + np.maximum(numbers[:, None] + places, start)
    reached = index + np.maximum(np.minimum(numbers[:, None] + N_STEPS, start + episode) + places, start)
    reward = numbers.astype(np.float32)
    return TransitionBatch(pictures(observed), (numbers % 3).astype(np.int32), reward, reward * 0, pictures(reached))


def pictures(numbers):
    """Returns a frame for each number, all different, with its shape behind that of ``numbers``."""
    blank = np.zeros((*numbers.shape, FRAME_BYTES), np.uint8)
    blank[..., :8] = numbers.astype(np.int64)[..., None].view(np.uint8).reshape(*numbers.shape, 8)
    return blank.reshape(*numbers.shape, SIDE, SIDE)


def assert_whole(sample) -> None:
    """Every transition is the one that its reward names, byte for byte."""
    for row, number in enumerate(sample.transitions.reward.astype(int)):
        for name, column in steps(number, 1).columns().items():
            assert sample.transitions.columns()[name][row].tobytes() == column.tobytes(), (name, number)


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with running_replay(tmp_path_factory.mktemp("frames"), RUN) as running:
        yield running


@pytest.fixture
def raw(service):
    with closing(Connection(service.address, token=lambda: None)) as connection:
        yield connection


def test_every_sampled_transition_is_an_inserted_one_and_each_frame_is_stored_once(tmp_path):
    with running_replay(tmp_path, RUN) as running, closing(replay_client(running.address, RUN)) as client:
        for first in range(0, 960, 32):
            assert client.insert(steps(first, 32), td_errors=np.ones(32, np.float32))
        client.begin_sample(8, 32)
        samples = client.finish_sample()
        assert len(samples) == 8
        for sample in samples:
            assert_whole(sample)
            assert all(column.flags.writeable for column in sample.transitions.columns().values())
        table = client.table()
        distinct = folded(steps(960 - CAPACITY, CAPACITY).columns())["frame"]
        assert (table["size"], table["frames"]) == (CAPACITY, len(distinct))
        assert table["bytes"] == CAPACITY * ROW_BYTES + len(distinct) * (FRAME_BYTES + FRAME_OVERHEAD_BYTES)


def test_a_table_that_was_asked_to_end_comes_back_with_its_frames(tmp_path):
    with running_replay(tmp_path, RUN) as running, closing(replay_client(running.address, RUN)) as client:
        for first in range(0, 640, 32):
            assert client.insert(steps(first, 32))
        before = client.table()
    assert sum(file.stat().st_size for file in tmp_path.glob("volume/*.snapshot")) < 2 * before["bytes"]
    with running_replay(tmp_path, RUN) as running, closing(replay_client(running.address, RUN)) as client:
        assert {key: client.table()[key] for key in ("size", "frames", "bytes")} == {
            key: before[key] for key in ("size", "frames", "bytes")
        }
        client.begin_sample(8, 32)
        for sample in client.finish_sample():
            assert_whole(sample)


def test_bytes_bind_before_the_capacity_where_every_frame_is_new(tmp_path):
    """Episodes of one step have two frames a transition; ten times what fits is inserted."""
    frames = 800
    run = specification(CAPACITY * ROW_BYTES + frames * (FRAME_BYTES + FRAME_OVERHEAD_BYTES))
    assert config_hash(run) == config_hash(RUN)
    with running_replay(tmp_path, run) as running, closing(replay_client(running.address, RUN)) as client:
        for first in range(0, 4_000, 32):
            assert client.insert(steps(first, 32, episode=1))
            table = client.table()
            assert table["frames"] <= frames
            assert table["bytes"] <= run.replay.capacity_bytes
        assert frames - 2 < table["frames"]
        assert table["size"] == frames // 2


def insert_body(columns=None, **fields):
    known = {"session": "raw", "chunk": 0, "config_hash": config_hash(RUN)}
    arrays = folded(steps(0, 3).columns()) if columns is None else columns
    return b"".join(codec.encode(known | fields, arrays))


def changed(**arrays):
    return insert_body(folded(steps(0, 3).columns()) | arrays)


def with_place(name, place):
    columns = folded(steps(0, 3).columns())
    columns[name] = columns[name].copy()
    columns[name][1, 2] = place
    return insert_body(columns)


GOOD = folded(steps(0, 3).columns())
MALFORMED = {
    "negative": (with_place("observation", -1), "observation -1 is outside 0..5"),
    "beyond the frames": (with_place("next_observation", 6), "next_observation 6 is outside 0..5"),
    "not referred to": (changed(frame=pictures(np.arange(9))), "frame 6 of 0..8 is in no observation"),
    "no frames": (changed(frame=pictures(np.arange(0))), "observation 5 is outside 0..-1|observation . is outside"),
    "places of another dtype": (changed(observation=GOOD["observation"].astype(np.int64)), "array observation must be"),
    "whole observations": (insert_body(steps(0, 3).columns()), "must hold the arrays observation.*frame"),
    "another stack": (changed(next_observation=GOOD["next_observation"][:, :3].copy()), "array next_observation has"),
    "another row count": (changed(observation=GOOD["observation"][:2]), "array action has an axis of length 3"),
    "another frame": (changed(frame=GOOD["frame"][:, :8].copy()), "array frame has an axis of length 8"),
    "frames of another dtype": (changed(frame=GOOD["frame"].astype(np.int32)), "array frame must be uint8"),
}
BINARY = {"Content-Type": routes.BINARY}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_places_and_frames_are_422_with_the_field_and_change_nothing(raw, case):
    body, message = MALFORMED[case]
    before = bytes(raw.request("GET", routes.TABLE).body)
    with pytest.raises(AdqlError, match=message) as refusal:
        raw.request("POST", routes.INSERT, headers=BINARY, body=[body])
    assert refusal.value.status == 422
    assert bytes(raw.request("GET", routes.TABLE).body) == before


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    places=st.lists(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=4, max_size=4), min_size=1, max_size=3),
    small=st.booleans(),
    frames=st.integers(0, 9),
)
def test_any_places_are_taken_or_refused_and_never_a_server_error(raw, places, small, frames):
    drawn = np.array(places, np.int32) % 7 if small else np.array(places, np.int32)
    columns = folded(steps(0, len(places)).columns())
    columns |= {"observation": drawn, "next_observation": drawn[::-1].copy(), "frame": pictures(np.arange(frames))}
    fit = set(drawn.ravel()) == set(range(frames))
    try:
        raw.request(
            "POST", routes.INSERT, headers=BINARY, body=[insert_body(columns, session=str(time.monotonic_ns()))]
        )
    except AdqlError as refusal:
        assert refusal.status == 422
        assert not fit
    else:
        assert fit


def test_a_table_that_a_few_frames_would_fill_below_min_size_is_refused_by_key():
    with pytest.raises(ConfigError, match=r"replay.capacity_bytes .* room for .* frames, replay.min_size 400 .* raise"):
        check_table(specification(CAPACITY * (ROW_BYTES + FRAME_BYTES + FRAME_OVERHEAD_BYTES), min_size=400))


def test_a_capacity_without_a_frame_for_each_transition_is_refused_by_key():
    row = ROW_BYTES + FRAME_BYTES + FRAME_OVERHEAD_BYTES
    with pytest.raises(ConfigError, match=rf"replay.capacity 500 needs {500 * row} bytes \({row} a transition\)"):
        check_table(specification(500 * row - 1))


def test_room_for_frames_is_never_more_than_the_capacity_can_name():
    table = make_table(specification(2**40), incarnation=1)
    assert table._frames == 2 * STACK * CAPACITY
