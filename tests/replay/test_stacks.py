"""A table of stacked frames: what is stored, what goes, and what is refused."""

import tracemalloc

import numpy as np
import pytest
import zstandard

from adql.errors import InputError, InvalidTransitionError, MalformedBodyError
from adql.frames import FrameCodec, joined, separated
from adql.types import ArraySpec
from tests.replay.stacks import CODEC, Copy, NaiveTable, bytes_of, chunk_of, frames_of, make_table, playing, rows_of


def steps_of(rng: np.random.Generator, copies: list[Copy]) -> list:
    """Plays one to four steps of any copies; a fifth of them end an episode."""
    return [
        copies[rng.integers(len(copies))].step(int(rng.integers(256)), int(rng.integers(1, 4)), rng.random() < 0.2)
        for _ in range(rng.integers(1, 5))
    ]


@pytest.mark.parametrize("prioritised", [False, True])
@pytest.mark.parametrize("frames", [24, 40, 200], ids=["frames bind", "either binds", "transitions bind"])
def test_the_oldest_transitions_go_first_and_no_more_than_must(frames, prioritised):
    table, naive = make_table(24, frames, prioritised=prioritised), NaiveTable(24, frames)
    rng, copies = np.random.default_rng(frames), [Copy() for _ in range(3)]
    for chunk in range(250):
        played = steps_of(rng, copies)
        table.insert("a", chunk, chunk_of(played))
        naive.insert(played)
        assert table.state().oldest == naive.oldest
        assert table.statistics().frames == len(frames_of(naive.kept))
        sampled = table.sample("a", 1, 32)
        kept = [bytes_of(naive.kept[item - naive.oldest]) for item in sampled.item_ids]
        assert rows_of(sampled.columns) == kept
    assert table.check_valid() == []


def test_sessions_and_copies_that_see_the_same_store_it_once():
    table, played = make_table(), playing(8, range(5), copies=1, over_every=100)
    for session in "abc":
        table.insert(session, 0, chunk_of(played))
    assert (len(table), table.statistics().frames) == (24, 5)


def test_a_frame_that_is_repeated_after_a_reset_is_stored_and_sent_once():
    chunk = chunk_of([Copy().step(1, 1, False)])
    assert len(separated(chunk)) == 2
    np.testing.assert_array_equal(chunk["observation"], [[0, 0, 0]])
    np.testing.assert_array_equal(chunk["next_observation"], [[0, 0, 1]])


def test_an_insert_that_sends_a_frame_twice_stores_it_once():
    table, chunk = make_table(), chunk_of([Copy().step(1, 1, False)])
    twice = {"next_observation": np.array([[2, 0, 3]], np.int32)} | joined(separated(chunk) * 2)
    table.insert("a", 0, chunk | {"observation": np.array([[0, 0, 1]], np.int32)} | twice)
    assert table.statistics().frames == 2
    assert table.check_valid() == []


def test_an_insert_of_more_frames_than_there_is_room_for_is_refused_and_evicts_nothing():
    table = make_table(32, 6)
    table.insert("a", 0, chunk_of(playing(2, [1, 2, 3])))
    with pytest.raises(InputError, match=r"insert of \d+ bytes of frames into a table with room for \d+; send smaller"):
        table.insert("a", 1, chunk_of(playing(12, range(10, 30), copies=1, over_every=100)))
    assert len(table) == 2


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("observation", lambda chunk: chunk["observation"] - np.int32(1)),
        ("next_observation", lambda chunk: chunk["next_observation"] + np.int32(1)),
        ("next_observation", lambda chunk: chunk["next_observation"].astype(np.int64)),
        ("observation", lambda chunk: chunk["observation"][:, :2]),
        ("frame", lambda chunk: chunk["frame"].astype(np.int8)),
        ("frame", lambda chunk: chunk["frame"].reshape(-1, 1)),
        ("frame", lambda chunk: np.uint8(1)),
        ("frame_bytes", lambda chunk: np.int32(1)),
        ("frame_bytes", lambda chunk: chunk["frame_bytes"].astype(np.int64)),
        ("frame_bytes", lambda chunk: chunk["frame_bytes"][:-1]),
        ("frame_bytes", lambda chunk: chunk["frame_bytes"] + np.int32(1)),
        ("frame_bytes", lambda chunk: chunk["frame_bytes"] * np.int32(0)),
    ],
)
def test_malformed_places_and_frames_refuse_the_whole_insert_and_name_the_column(name, change):
    table, chunk = make_table(), chunk_of(playing(3, range(9)))
    with pytest.raises(InvalidTransitionError, match=f"^{name} .*nothing was inserted") as refusal:
        table.insert("a", 0, chunk | {name: change(chunk)})
    assert refusal.value.details == {"field": name}
    assert (len(table), table.statistics().frames, table.state().chunks) == (0, 0, {})


PACKED = CODEC.pack(bytes(range(6)))
OTHER = FrameCodec(ArraySpec("frame", (7,), "uint8"))
REFUSED = r"^frame \d+: (not one whole zstd frame|zstd frame|\d+ bytes, ).*; nothing was inserted$"


def with_last(chunk, frame):
    """Returns ``chunk`` with something else for its last frame."""
    return chunk | joined([*separated(chunk)[:-1], frame])


@pytest.mark.parametrize(
    "frame",
    [
        PACKED[:-1],
        PACKED + b"\0",
        PACKED + PACKED,
        bytes(range(6)),
        b"\0",
        OTHER.pack(bytes(7)),
        zstandard.compress(bytes(range(6))),
        PACKED[:2] + bytes(3 * 30) + PACKED[2:],
    ],
    ids=["cut", "a byte more", "twice", "raw", "a byte", "another size", "with magic", "with 30 empty blocks"],
)
@pytest.mark.parametrize("full", [False, True])
def test_a_new_frame_that_is_not_exactly_one_compressed_frame_refuses_the_whole_insert(full, frame):
    table, before = make_table(8), playing(8 * full, range(1, 9))
    for number, transition in enumerate(before):
        table.insert("a", number, chunk_of([transition]))
    held = table.statistics()
    with pytest.raises(InvalidTransitionError, match=REFUSED):
        table.insert("b", 0, with_last(chunk_of(playing(3, range(20, 29))), frame))
    assert (table.statistics(), table.state().chunks.get("b")) == (held, None)
    assert table.check_valid() == []


def test_a_frame_that_promises_more_than_a_frame_is_refused_before_it_is_taken_apart():
    bomb = FrameCodec(ArraySpec("frame", (2**30,), "uint8"))
    with pytest.raises(MalformedBodyError, match="declares 1048576 bytes, needed are 6"):
        CODEC.check(bomb.pack(bytes(2**20)))


@pytest.mark.parametrize(("dtype", "content"), [("float32", np.float32(np.nan)), ("bool", np.uint8(2))])
def test_a_frame_of_numbers_that_no_learner_could_take_is_refused(dtype, content):
    codec = FrameCodec(ArraySpec("frame", (), dtype))
    with pytest.raises(MalformedBodyError, match=r"not finite|neither 0 nor 1"):
        codec.check(codec.pack(content.tobytes()))


def test_many_frames_that_no_observation_names_are_refused_before_they_are_taken_apart():
    table, chunk = make_table(), chunk_of(playing(3, range(9)))
    many = {"frame_bytes": np.ones(1_000_000, np.int32), "frame": np.zeros(1_000_000, np.uint8)}
    tracemalloc.start()
    try:
        with pytest.raises(InvalidTransitionError, match="is in no observation"):
            table.insert("a", 0, chunk | many)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
