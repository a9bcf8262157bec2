"""A real replay service of stacked frames, over the wire."""

import time
import tracemalloc
from contextlib import closing

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adql.config import FRAME_OVERHEAD_BYTES, config_hash, specification_from
from adql.errors import AdqlError, ConfigError
from adql.frames import FrameCodec, joined, longest_packed, separated
from adql.types import ArraySpec, TransitionBatch
from adql.wire import codec, routes
from adql.wire.connection import Connection
from adql.wire.replay_format import check_table
from adql.wire.replay_frames import folded
from adql_services.replay.main import make_table
from tests.services.replay_process import replay_client, running_replay

SIDE, STACK, CAPACITY, N_STEPS = 16, 4, 500, 3
ROW_BYTES = 2 * STACK * 4 + 12
FRAME = ArraySpec("frame", (SIDE, SIDE), "uint8")
CODEC = FrameCodec(FRAME)
FRAME_COST = longest_packed(FRAME) + 4 + FRAME_OVERHEAD_BYTES
"""Bytes that are reckoned with for a frame that may not be compressible."""


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


def pictures(numbers):
    """Returns a frame for each number, all different, with its shape behind that of ``numbers``."""
    blank = np.zeros((*numbers.shape, SIDE * SIDE), np.uint8)
    blank[..., :8] = numbers.astype(np.int64)[..., None].view(np.uint8).reshape(*numbers.shape, 8)
    return blank.reshape(*numbers.shape, SIDE, SIDE)


def steps(first: int, count: int, episode: int = 40, pictures=pictures) -> TransitionBatch:
    """Transitions number ``first`` and following of one endless row of episodes; each frame says where it is."""
    numbers = np.arange(first, first + count)
    index = (numbers // episode)[:, None]
    start, places = index * episode, np.arange(-STACK + 1, 1)
    observed = index + np.maximum(numbers[:, None] + places, start)
    reached = index + np.maximum(np.minimum(numbers[:, None] + N_STEPS, start + episode) + places, start)
    reward = numbers.astype(np.float32)
    return TransitionBatch(pictures(observed), (numbers % 3).astype(np.int32), reward, reward * 0, pictures(reached))


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
        distinct = separated(folded(steps(960 - CAPACITY, CAPACITY).columns(), CODEC))
        assert (table["size"], table["frames"]) == (CAPACITY, len(distinct))
        packed = sum(map(len, distinct))
        assert packed < len(distinct) * SIDE * SIDE / 8
        assert table["bytes"] == CAPACITY * ROW_BYTES + packed + len(distinct) * FRAME_OVERHEAD_BYTES


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
    """Episodes of one step have two frames a transition; ten times what fits is inserted, and nothing of it packs."""
    noise = np.random.default_rng(1).integers(0, 256, (8_000, SIDE, SIDE), np.uint8)
    run = specification(CAPACITY * ROW_BYTES + 700 * FRAME_COST)
    assert config_hash(run) == config_hash(RUN)
    with running_replay(tmp_path, run) as running, closing(replay_client(running.address, RUN)) as client:
        for first in range(0, 4_000, 32):
            assert client.insert(steps(first, 32, episode=1, pictures=noise.__getitem__))
            table = client.table()
            assert table["bytes"] <= run.replay.capacity_bytes
        free = run.replay.capacity_bytes - CAPACITY * ROW_BYTES - (table["bytes"] - table["size"] * ROW_BYTES)
        assert 0 <= free < 2 * FRAME_COST
        assert table["frames"] == 2 * table["size"] < 2 * CAPACITY


def insert_body(columns=None, **fields):
    known = {"session": "raw", "chunk": 0, "config_hash": config_hash(RUN)}
    arrays = folded(steps(0, 3).columns(), CODEC) if columns is None else columns
    return b"".join(codec.encode(known | fields, arrays))


def changed(**arrays):
    return insert_body(folded(steps(0, 3).columns(), CODEC) | arrays)


def with_place(name, place):
    columns = folded(steps(0, 3).columns(), CODEC)
    columns[name] = columns[name].copy()
    columns[name][1, 2] = place
    return insert_body(columns)


def packed(count):
    """Returns the arrays of ``count`` frames."""
    return joined(CODEC.pack(frame.tobytes()) for frame in pictures(np.arange(count)))


def with_last_frame(change):
    *others, last = separated(folded(steps(0, 3).columns(), CODEC))
    return changed(**joined([*others, change(last)]))


def lying(size):
    """Returns a frame of 70,000 bytes that says that it has only ``size`` bytes."""
    packed = bytearray(CODEC.pack(bytes(70_000)))
    at = bytes(packed).index((70_000).to_bytes(4, "little"))
    packed[at : at + 4] = size.to_bytes(4, "little")
    return bytes(packed)


BOMB = CODEC.pack(bytes(100_000_000))[: longest_packed(FRAME)]
LIE = lying(SIDE * SIDE)
GOOD = folded(steps(0, 3).columns(), CODEC)
MALFORMED = {
    "negative": (with_place("observation", -1), "observation -1 is outside 0..5"),
    "beyond the frames": (with_place("next_observation", 6), "next_observation 6 is outside 0..5"),
    "not referred to": (changed(**packed(9)), "frame 6 of 0..8 is in no observation"),
    "no frames": (changed(**packed(0)), r"observation \d is outside 0..-1"),
    "places of another dtype": (changed(observation=GOOD["observation"].astype(np.int64)), "array observation must be"),
    "whole observations": (insert_body(steps(0, 3).columns()), "must hold the arrays observation.*frame"),
    "another stack": (changed(next_observation=GOOD["next_observation"][:, :3].copy()), "array next_observation has"),
    "another row count": (changed(observation=GOOD["observation"][:2]), "array action has an axis of length 3"),
    "frames of another dtype": (changed(frame=GOOD["frame"].astype(np.int32)), "array frame must be uint8"),
    "frames as a picture": (changed(frame=pictures(np.arange(6))), "array frame must be uint8 with 1 axes"),
    "lengths of another sum": (changed(frame=GOOD["frame"][:-1]), "frame_bytes must be lengths from 1 that add up"),
    "a negative length": (changed(frame_bytes=GOOD["frame_bytes"] - 2 * SIDE), "frame_bytes must be lengths from 1"),
    "a frame cut": (with_last_frame(lambda frame: frame[:-1]), "frame 5: not one whole zstd frame"),
    "a frame of garbage": (with_last_frame(lambda frame: b"\xff" * len(frame)), "frame 5: .*zstd frame"),
    "a frame that is a bomb": (with_last_frame(lambda frame: BOMB), "frame 5: zstd frame declares 100000000 bytes"),
    "a frame of another size": (
        with_last_frame(lambda frame: CODEC.pack(bytes(9))),
        "declares 9 bytes, needed are 256",
    ),
    "a frame that lies": (with_last_frame(lambda frame: LIE), "frame 5: not one whole zstd frame"),
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
    columns = folded(steps(0, len(places)).columns(), CODEC)
    columns |= {"observation": drawn, "next_observation": drawn[::-1].copy(), **packed(frames)}
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


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=st.lists(st.integers(-3, 400), min_size=1, max_size=6), content=st.binary(max_size=900))
def test_any_bytes_for_frames_are_refused_and_the_service_answers_on(raw, lengths, content):
    places = np.arange(len(lengths) * 4, dtype=np.int32).reshape(-1, 4) % len(lengths)
    columns = folded(steps(0, len(lengths)).columns(), CODEC) | {"observation": places, "next_observation": places}
    columns |= {"frame_bytes": np.array(lengths, np.int32), "frame": np.frombuffer(content, np.uint8)}
    before = bytes(raw.request("GET", routes.TABLE).body)
    with pytest.raises(AdqlError) as refusal:
        raw.request("POST", routes.INSERT, headers=BINARY, body=[insert_body(columns)])
    assert refusal.value.status == 422
    assert "\n" not in str(refusal.value)
    assert bytes(raw.request("GET", routes.TABLE).body) == before


def test_a_table_that_a_few_frames_would_fill_below_min_size_is_refused_by_key():
    needed = (2 * 400 + 2 * STACK * 37) * FRAME_COST  # 37: the largest insert
    check_table(specification(CAPACITY * ROW_BYTES + needed, min_size=400))
    with pytest.raises(
        ConfigError, match=rf"leaves {needed - 1} bytes for frames, replay.min_size 400 .* may need {needed}; raise"
    ):
        check_table(specification(CAPACITY * ROW_BYTES + needed - 1, min_size=400))


def test_a_capacity_whose_rows_alone_do_not_fit_is_refused_by_key():
    with pytest.raises(ConfigError, match=rf"replay.capacity 500 needs {500 * ROW_BYTES} bytes \({ROW_BYTES} a transi"):
        check_table(specification(500 * ROW_BYTES - 1))


def test_what_is_allocated_at_start_goes_by_the_capacity_and_not_by_the_bytes():
    tracemalloc.start()
    try:
        table = make_table(specification(2**40), incarnation=1)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
        assert len(table) == 0
    finally:
        tracemalloc.stop()
