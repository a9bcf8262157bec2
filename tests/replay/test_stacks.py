"""A table of stacked frames: what is stored, what goes, and what is refused."""

import numpy as np
import pytest

from adql.errors import InputError, InvalidTransitionError
from tests.replay.stacks import Copy, NaiveTable, bytes_of, chunk_of, frames_of, make_table, playing, rows_of


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
    assert len(chunk["frame"]) == 2
    np.testing.assert_array_equal(chunk["observation"], [[0, 0, 0]])
    np.testing.assert_array_equal(chunk["next_observation"], [[0, 0, 1]])


def test_an_insert_that_sends_a_frame_twice_stores_it_once():
    table, chunk = make_table(), chunk_of([Copy().step(1, 1, False)])
    twice = {"next_observation": np.array([[2, 0, 3]], np.int32), "frame": chunk["frame"][[0, 1, 0, 1]]}
    table.insert("a", 0, chunk | {"observation": np.array([[0, 0, 1]], np.int32)} | twice)
    assert table.statistics().frames == 2
    assert table.check_valid() == []


def test_an_insert_of_more_frames_than_there_is_room_for_is_refused_and_evicts_nothing():
    table = make_table(32, 6)
    table.insert("a", 0, chunk_of(playing(2, [1, 2, 3])))
    with pytest.raises(InputError, match="insert of 13 frames into a table with room for 6; send smaller chunks"):
        table.insert("a", 1, chunk_of(playing(12, range(10, 30), copies=1, over_every=100)))
    assert len(table) == 2


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("observation", lambda chunk: chunk["observation"] - np.int32(1)),
        ("next_observation", lambda chunk: chunk["next_observation"] + np.int32(1)),
        ("next_observation", lambda chunk: chunk["next_observation"].astype(np.int64)),
        ("observation", lambda chunk: chunk["observation"][:, :2]),
        ("frame", lambda chunk: np.concatenate([chunk["frame"], chunk["frame"][:1]])),
        ("frame", lambda chunk: chunk["frame"][:, :1]),
        ("frame", lambda chunk: chunk["frame"].astype(np.int8)),
        ("frame", lambda chunk: np.uint8(1)),
    ],
)
def test_malformed_places_and_frames_refuse_the_whole_insert_and_name_the_column(name, change):
    table, chunk = make_table(), chunk_of(playing(3, range(9)))
    with pytest.raises(InvalidTransitionError, match=f"^{name} .*nothing was inserted") as refusal:
        table.insert("a", 0, chunk | {name: change(chunk)})
    assert refusal.value.details == {"field": name}
    assert (len(table), table.statistics().frames, table.state().chunks) == (0, 0, {})
