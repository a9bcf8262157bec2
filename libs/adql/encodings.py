"""How a float32 vector travels: float32, float16 or bfloat16; pure casts.

A learner and the parameter server must go on with the numbers that arrived, not with those that left: whoever sends a
vector and computes with it later computes with ``from_wire(to_wire(vector, encoding))``.
"""

import numpy as np

from adql.errors import InvalidUpdateError
from adql.types import Array, Float32Array

BFLOAT16 = np.dtype([("bfloat16", "<u2")])
"""The upper half of a float32. A record and no plain uint16, so that nobody takes the bits for numbers by mistake."""

_LARGEST = {"float16": 65504.0, "bfloat16": float.fromhex("0x1.fep127")}
_WIDER = {"float16": "bfloat16", "bfloat16": "float32"}
_QUIET_NAN = 0x7FC0
_BLOCK = 65_536
"""Numbers cast at a time: what is between stays in the cache, which halves the time of a long vector."""


def to_wire(vector: Float32Array, encoding: str) -> Array:
    """Returns ``vector`` (P,) in ``encoding``, rounded to nearest, ties to even; NaN and infinities stay what they are.

    ``float32`` returns ``vector`` itself, the others a new array.

    Raises:
        InvalidUpdateError: a finite number is too large for the encoding; it would have become infinite.
    """
    check_range(vector, encoding)
    if encoding == "bfloat16":
        return _upper_halves(vector)
    return vector.astype(encoding, copy=False)


def from_wire(array: Array) -> Float32Array:
    """Returns what ``to_wire`` made as float32 (P,), exactly; a float32 array is returned itself."""
    if array.dtype != BFLOAT16:
        return array.astype(np.float32, copy=False)
    bits = array.view(np.uint16).astype(np.uint32)
    bits <<= 16
    return bits.view(np.float32)


def check_range(vector: Float32Array, encoding: str) -> None:
    """Lets ``vector`` (P,) pass if every finite number of it stays finite in ``encoding``.

    Raises:
        InvalidUpdateError: it names the largest number, the bound and the way out.
    """
    bound = _LARGEST.get(encoding)
    if bound is None or max(vector.max(initial=0.0), -vector.min(initial=0.0)) <= bound:
        return
    largest = float(np.abs(vector[np.isfinite(vector)]).max(initial=0.0))
    if largest > bound:
        raise InvalidUpdateError(
            f"a number of size {largest:g} does not fit {encoding}, at most {bound:g}; "
            f"set update.encoding to {_WIDER[encoding]} in a new run"
        )


def _upper_halves(vector: Float32Array) -> Array:
    halves = np.empty(len(vector), np.uint16)
    for start in range(0, len(vector), _BLOCK):
        block = slice(start, start + _BLOCK)
        halves[block] = _rounded(vector[block])
    return halves.view(BFLOAT16)


def _rounded(numbers: Float32Array) -> Array:
    """Adds half of the last kept bit, a bit less where that is even; a carry runs into the exponent as it should."""
    bits = np.ascontiguousarray(numbers).view(np.uint32)
    rounded = bits >> 16
    rounded &= 1
    rounded += 0x7FFF
    rounded += bits
    rounded >>= 16
    rounded[np.isnan(numbers)] = _QUIET_NAN  # the carry may have made a number of it
    return rounded
