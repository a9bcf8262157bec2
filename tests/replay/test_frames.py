"""The frame store alone, where all frames have one hash too."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adql.config import FRAME_OVERHEAD_BYTES
from adql.replay.frames import FrameStore
from adql.types import ArraySpec

CAPACITY = 8
HASHES = {"its own": hash, "one for all": lambda content: 7, "two": lambda content: content[0] % 2 - 1}


def store_of(hash_of=hash, capacity=CAPACITY, shape=(2,), dtype="int16") -> FrameStore:
    return FrameStore(ArraySpec("frame", shape, dtype), capacity, hash_of)


def frames_of(contents):
    return np.array([[content, -content] for content in contents], np.int16).reshape(-1, 2)


def no_room(lacking):
    raise AssertionError(f"{lacking} slots are lacking")


@pytest.mark.parametrize("hash_of", HASHES.values(), ids=HASHES)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_store_is_a_multiset_whatever_the_hash(hash_of, data):
    store, held = store_of(hash_of), Counter()
    slots: dict[int, int] = {}
    for _ in range(data.draw(st.integers(1, 25))):
        arriving = data.draw(st.lists(st.integers(0, 12), max_size=4))
        if len({*arriving, *held}) <= CAPACITY and data.draw(st.booleans()):
            slots |= dict(zip(arriving, store.hold(frames_of(arriving), no_room).tolist(), strict=True))
            held.update(arriving)
        elif held:
            leaving = data.draw(st.lists(st.sampled_from(sorted(held.elements())), max_size=6))
            leaving = [content for i, content in enumerate(leaving) if leaving[:i].count(content) < held[content]]
            store.release(np.array([slots[content] for content in leaving], np.int32))
            held = held - Counter(leaving)
        present = sorted(held)
        assert (len(store), store.vacant) == (len(present), CAPACITY - len(present))
        assert len({slots[content] for content in present}) == len(present)
        np.testing.assert_array_equal(store.gather([slots[content] for content in present]), frames_of(present))
        assert store.check_valid() == []


def test_room_is_asked_for_once_for_each_distinct_new_frame_and_known_frames_stay():
    store = store_of(capacity=3)
    old = store.hold(frames_of([1, 2, 3]), no_room)
    asked = []

    def make_room(lacking):
        asked.append(lacking)
        store.release(old)

    store.hold(frames_of([3, 4, 4, 5]), make_room)
    assert asked == [2]
    assert sorted(store.gather(store.occupied())[:, 0]) == [3, 4, 5]


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int8", "int32", "int64", "bool"])
@pytest.mark.parametrize("shape", [(), (5,), (3, 2, 1)])
def test_frames_of_any_shape_and_dtype_come_back_byte_for_byte(shape, dtype):
    store = store_of(shape=shape, dtype=dtype)
    noise = np.random.default_rng(1).integers(0, 2, (2, *shape, np.dtype(dtype).itemsize), np.uint8)
    noise[1] ^= 1
    frames = noise.view(dtype).reshape(2, *shape)
    gathered = store.gather(store.hold(frames, no_room))
    assert (gathered.dtype, gathered.shape) == (frames.dtype, frames.shape)
    assert gathered.tobytes() == frames.tobytes()


def test_zeros_of_both_signs_are_different_frames():
    store = store_of(shape=(), dtype="float32")
    store.hold(np.array([0.0, -0.0], np.float32), no_room)
    assert len(store) == 2


@pytest.mark.parametrize("capacity", [1, 2, 3, 1_000, 1_025])
def test_the_stated_overhead_a_frame_is_what_the_store_has(capacity):
    arrays = [value for value in vars(store_of(capacity=capacity)).values() if isinstance(value, np.ndarray)]
    assert sum(array.nbytes for array in arrays) <= capacity * (4 + FRAME_OVERHEAD_BYTES)
