"""Casts to the wire and back: rounding, what is no number, and what is too large."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from adql.encodings import BFLOAT16, from_wire, to_wire
from adql.errors import InvalidUpdateError

NARROW = ["float16", "bfloat16"]
EPSILON = {"float16": 2.0**-11, "bfloat16": 2.0**-8}
"""Largest relative error of a normal number."""
SUBNORMAL_STEP = {"float16": 2.0**-24, "bfloat16": 2.0**-133}
LARGEST = {"float16": 65504.0, "bfloat16": 2.0**127 * (2 - 2.0**-7)}


def vectors(bound: float):
    numbers = st.floats(-bound, bound, width=32)
    return arrays.arrays(np.float32, st.integers(1, 9), elements=numbers)


def rounded(*numbers: float, encoding: str) -> list[float]:
    return from_wire(to_wire(np.array(numbers, np.float32), encoding)).tolist()


def test_float32_is_neither_cast_nor_copied():
    vector = np.array([1.5, -2.0], np.float32)
    assert to_wire(vector, "float32") is vector
    assert from_wire(vector) is vector


@pytest.mark.parametrize("encoding", NARROW)
def test_a_narrow_vector_takes_half_the_bytes(encoding):
    assert to_wire(np.ones(5, np.float32), encoding).nbytes == 10


@pytest.mark.parametrize("encoding", NARROW)
@given(data=st.data())
def test_error_is_at_most_half_a_unit_in_the_last_place(encoding, data):
    vector = data.draw(vectors(LARGEST[encoding])).astype(np.float64)
    error = np.abs(rounded(*vector, encoding=encoding) - vector)
    assert (error <= np.maximum(np.abs(vector) * EPSILON[encoding], SUBNORMAL_STEP[encoding] / 2)).all()


@pytest.mark.parametrize("encoding", NARROW)
@given(data=st.data())
def test_what_arrived_travels_on_unchanged(encoding, data):
    once = to_wire(data.draw(vectors(LARGEST[encoding])), encoding)
    assert to_wire(from_wire(once), encoding).tobytes() == once.tobytes()


@given(st.integers(0, 2**32 - 1))
def test_bfloat16_is_the_nearest_one_for_every_pattern_of_bits(bits):
    value = np.array([bits], np.uint32).view(np.float32)
    if np.isnan(value):
        assert np.isnan(from_wire(to_wire(value, "bfloat16"))).all()
    elif np.abs(value) <= LARGEST["bfloat16"] or np.isinf(value):
        neighbours = [struct.unpack("<f", struct.pack("<I", half << 16))[0] for half in (bits >> 16, (bits >> 16) + 1)]
        (nearest,) = rounded(value[0], encoding="bfloat16")
        distances = [abs(neighbour - float(value[0])) for neighbour in neighbours if np.isfinite(neighbour)]
        assert nearest == value[0] or abs(nearest - float(value[0])) == min(distances)


def test_a_long_vector_is_cast_as_its_parts_are():
    vector = np.random.default_rng(0).normal(size=200_001).astype(np.float32)
    vector[::777] = np.nan
    parts = [to_wire(part, "bfloat16") for part in np.array_split(vector, 7)]
    np.testing.assert_array_equal(to_wire(vector, "bfloat16"), np.concatenate(parts))


@pytest.mark.parametrize(("encoding", "unit"), [("float16", 2.0**-10), ("bfloat16", 2.0**-7)])
def test_ties_go_to_the_even_neighbour(encoding, unit):
    halfway = [1 + unit / 2, 1 + 3 * unit / 2, -1 - unit / 2, 2 - unit / 2]
    assert rounded(*halfway, encoding=encoding) == [1.0, 1 + 2 * unit, -1.0, 2.0]


@pytest.mark.parametrize("encoding", NARROW)
def test_infinities_zeros_and_nan_stay_what_they_are(encoding):
    values = rounded(np.inf, -np.inf, 0.0, -0.0, np.nan, encoding=encoding)
    assert values[:4] == [np.inf, -np.inf, 0.0, 0.0]
    assert np.signbit(values[3])
    assert np.isnan(values[4])


def test_nan_of_every_payload_stays_nan_in_bfloat16():
    patterns = np.array([0x7F800001, 0x7FFFFFFF, 0xFFFFFFFF, 0xFF800001, 0x7FC00000], np.uint32)
    assert np.isnan(from_wire(to_wire(patterns.view(np.float32), "bfloat16"))).all()


@pytest.mark.parametrize("encoding", NARROW)
def test_the_largest_number_passes_and_a_larger_one_is_refused_with_the_way_out(encoding):
    bound = np.float32(LARGEST[encoding])
    assert rounded(bound, -bound, encoding=encoding) == [bound, -bound]
    way_out = {"float16": "does not fit float16, at most 65504; set update.encoding to bfloat16"}
    for others in ([], [np.nan], [np.inf]):
        with pytest.raises(InvalidUpdateError, match=way_out.get(encoding, "set update.encoding to float32")):
            rounded(-np.nextafter(bound, np.float32(np.inf)), *others, encoding=encoding)


def test_bits_of_bfloat16_are_not_computed_with_by_mistake():
    encoded = to_wire(np.ones(2, np.float32), "bfloat16")
    assert encoded.dtype == BFLOAT16
    with pytest.raises(TypeError):
        encoded + encoded
