"""The frame store alone, where all frames have one hash too."""

import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adql.config import FRAME_OVERHEAD_BYTES
from adql.frames import FrameCodec
from adql.replay.frames import FrameStore, cost
from adql.types import ArraySpec

ROOM = 8
"""Frames for which there is room, where each has one byte."""
ROOM_BYTES = ROOM * cost([b"1"])
HASHES = {"its own": hash, "one for all": lambda frame: 7, "two": lambda frame: frame[0] % 2 - 1}


def store_of(hash_of=hash, room=ROOM_BYTES, slots=64, chains=ROOM) -> FrameStore:
    return FrameStore(room, slots, chains, hash_of)


def frames_of(contents):
    return [bytes([content]) for content in contents]


def no_room(lacking):
    raise AssertionError(f"{lacking} bytes are lacking")


@pytest.mark.parametrize("hash_of", HASHES.values(), ids=HASHES)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_store_is_a_multiset_whatever_the_hash(hash_of, data):
    store, held = store_of(hash_of), Counter()
    slots: dict[int, int] = {}
    for _ in range(data.draw(st.integers(1, 25))):
        arriving = data.draw(st.lists(st.integers(0, 12), max_size=4))
        if len({*arriving, *held}) <= ROOM and data.draw(st.booleans()):
            slots |= dict(zip(arriving, store.hold(frames_of(arriving), no_room).tolist(), strict=True))
            held.update(arriving)
        elif held:
            leaving = data.draw(st.lists(st.sampled_from(sorted(held.elements())), max_size=6))
            leaving = [content for i, content in enumerate(leaving) if leaving[:i].count(content) < held[content]]
            store.release(np.array([slots[content] for content in leaving], np.int32))
            held = held - Counter(leaving)
        present = sorted(held)
        assert (len(store), store.used) == (len(present), cost(frames_of(present)))
        assert len({slots[content] for content in present}) == len(present)
        assert store.gather(np.array([slots[content] for content in present], np.int32)) == frames_of(present)
        assert store.unknown(frames_of(range(13))) == [(c, bytes([c])) for c in range(13) if c not in held]
        assert store.check_valid() == []


def test_room_is_asked_for_by_the_bytes_of_each_distinct_new_frame_and_known_frames_stay():
    store = store_of(room=cost([b"1", b"22", b"333"]))
    old = store.hold([b"1", b"22", b"333"], no_room)
    asked = []

    def make_room(lacking):
        asked.append(lacking)
        store.release(old)

    store.hold([b"333", b"4", b"4", b"55"], make_room)
    assert asked == [cost([b"4", b"55"])]
    assert sorted(store.gather(store.occupied())) == [b"333", b"4", b"55"]


def test_a_vacant_slot_looks_empty_and_is_used_again():
    store = store_of()
    slots = store.hold([b"1", b"2"], no_room)
    store.release(slots[:1])
    assert store.look(slots) == [None, b"2"]
    assert store.hold([b"3"], no_room).tolist() == slots[:1].tolist()


@pytest.mark.parametrize("capacity", [1_000, 1_025])
@pytest.mark.parametrize("length", [15, 170, 7_000])
def test_the_stated_overhead_a_frame_is_what_the_store_has(capacity, length):
    store = store_of(room=2**40, slots=capacity, chains=capacity)
    store.hold([number.to_bytes(2, "little").ljust(length) for number in range(capacity)], no_room)
    arrays = sum(value.nbytes for value in vars(store).values() if isinstance(value, np.ndarray))
    objects = sum(-(-sys.getsizeof(frame) // 16) * 16 for frame in store.gather(store.occupied()))
    names = len(store) * 8
    assert store.used == capacity * (length + FRAME_OVERHEAD_BYTES)
    assert abs(arrays + objects + names - store.used) <= capacity * 12


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int8", "int32", "int64", "bool"])
@pytest.mark.parametrize("shape", [(), (5,), (3, 2, 1)])
def test_frames_of_any_shape_and_dtype_come_back_byte_for_byte(shape, dtype):
    codec = FrameCodec(ArraySpec("frame", shape, dtype))
    frames = np.random.default_rng(1).integers(0, 2, (4, *shape)).astype(dtype)
    for count in (4, 1, 0):
        back = codec.unpacked([codec.pack(frame.tobytes()) for frame in frames[:count]])
        assert (back.dtype, back.shape) == (frames.dtype, (count, *shape))
        assert back.tobytes() == frames[:count].tobytes()


def test_zeros_of_both_signs_are_different_frames():
    codec = FrameCodec(ArraySpec("frame", (), "float32"))
    assert codec.pack(np.float32(0.0).tobytes()) != codec.pack(np.float32(-0.0).tobytes())
