"""The one binary body of ADQL: a short self-describing header and raw little-endian arrays, read without copying.

    offset 0   magic ``ADQL``
           4   wire number, u16
           6   reserved, u16, zero
           8   length of the JSON header in bytes, u32
          12   CRC32C of everything but these four bytes, u32
          16   JSON ``{"fields": {name: scalar or list of integers}, "arrays": [[name, dtype, shape], ...]}``
               zeros up to a multiple of 8, then each array in C order, each followed by zeros up to a multiple of 8

Everything is checked against the caller's expectation before an array is made, in Python integers, so that a declared
size can neither overflow nor allocate. There is no pickle anywhere: dtypes come from a closed table.
"""

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import google_crc32c
import msgspec
import numpy as np

from adql.encodings import BFLOAT16
from adql.errors import MalformedBodyError, WireVersionError
from adql.types import Array, ArraySpec

WIRE = 1
"""The wire number; +1 whenever an old reader would misread a new body."""
MAX_HEADER_BYTES = 64 * 1024
MAX_FIELDS = 256
ANY = -1
"""Length of an expected axis that may have any value, the same one wherever it appears in a body."""
ANY_OTHER, ANY_THIRD = -2, -3
"""Lengths of other such axes, independent of ANY."""

Scalar = bool | int | float | str | None
Field = Scalar | list[int]
Buffer = bytes | bytearray | memoryview

_PREFIX = struct.Struct("<4sHHII")
_MAGIC = b"ADQL"
_CHECKSUM_AT = 12
_ALIGNMENT = 8
_DTYPES = {
    name: np.dtype(name).newbyteorder("<")
    for name in (
        *("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
        *("float16", "float32", "float64"),
    )
} | {"bfloat16": BFLOAT16}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


class _Header(msgspec.Struct, forbid_unknown_fields=True):
    fields: dict[str, Field]
    arrays: list[tuple[str, str, list[int]]]


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Header)


@dataclass(frozen=True, slots=True)
class Message:
    """A decoded body: named fields, and arrays that are read-only views of the body's bytes."""

    fields: dict[str, Field]
    arrays: dict[str, Array]

    def integer(self, name: str, at_least: int = 0, at_most: int = 2**63 - 1) -> int:
        """Returns the integer field ``name``.

        Raises:
            MalformedBodyError: absent, no integer or out of bounds; so for all these helpers.
        """
        return _bounded(name, self._field(name), at_least, at_most)

    def text(self, name: str, max_length: int = 256) -> str:
        """Returns the string field ``name`` of at most ``max_length`` characters."""
        value = self._field(name)
        if not isinstance(value, str) or len(value) > max_length:
            raise MalformedBodyError(f"field {name} must be a string of at most {max_length} characters")
        return value

    def _field(self, name: str) -> Field:
        if name not in self.fields:
            raise MalformedBodyError(f"field {name} is missing from the body's header")
        return self.fields[name]


def dtype_of(name: str) -> np.dtype[Any]:
    """Returns the little-endian dtype that ``name`` stands for on the wire."""
    return _DTYPES[name]


def encode(fields: Mapping[str, Field], arrays: Mapping[str, Array]) -> list[Buffer]:
    """Returns the body as buffers to be sent in order: prefix and header, then the arrays themselves, not copied.

    Raises:
        MalformedBodyError: an array is not C-contiguous and little-endian, a float is not finite, or the header is
            longer than 64 KiB.
    """
    declared = [(name, _dtype_name(name, array), list(array.shape)) for name, array in arrays.items()]
    header = _encoder.encode(_Header(_finite(fields), declared))
    _check_header_length(len(header))
    head = bytearray(_PREFIX.pack(_MAGIC, WIRE, 0, len(header), 0) + header + _padding(_PREFIX.size + len(header)))
    rest = [part for array in arrays.values() for part in _raw_bytes(array)]
    struct.pack_into("<I", head, _CHECKSUM_AT, _checksum(np.frombuffer(head, np.uint8), rest))
    return [head, *(part.data for part in rest)]


def decode(body: Buffer, expected: Sequence[ArraySpec], *, optional: Sequence[ArraySpec] = ()) -> Message:
    """Reads ``body``, which must hold exactly the arrays of ``expected``, then any of ``optional``, in order.

    An entry ``ANY`` in an expected shape accepts any length, but the same one in all arrays; so do ``ANY_OTHER`` and
    ``ANY_THIRD``.

    Raises:
        WireVersionError: the other side speaks another wire number.
        MalformedBodyError: anything else about the body does not hold.
    """
    raw = np.frombuffer(body, np.uint8)
    header_length = _check_prefix(raw)
    header = _parse_header(raw, header_length)
    specs = _match(header.arrays, expected, optional)
    offset = _check_layout(raw, _PREFIX.size + header_length, specs)
    arrays: dict[str, Array] = {}
    for spec in specs:
        arrays[spec.name] = _view(raw, offset, spec)
        offset += _padded_bytes(spec)
    return Message(header.fields, arrays)


def _bounded(name: str, value: Field, at_least: int, at_most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not at_least <= value <= at_most:
        raise MalformedBodyError(f"field {name} must be an integer from {at_least} to {at_most}")
    return value


def _finite(fields: Mapping[str, Field]) -> dict[str, Field]:
    for name, value in fields.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise MalformedBodyError(f"field {name}={value} is not finite; send a finite number or leave it out")
    return dict(fields)


def _dtype_name(name: str, array: Array) -> str:
    if array.dtype not in _NAMES or not array.flags.c_contiguous:
        raise MalformedBodyError(
            f"array {name} is {array.dtype.str}, C-contiguous: {array.flags.c_contiguous}; "
            f"make it C-contiguous, little-endian and one of {', '.join(_DTYPES)}"
        )
    return _NAMES[array.dtype]


def _raw_bytes(array: Array) -> list[Array]:
    """Returns the array's own bytes and its padding, leaving out what is empty."""
    padding = np.zeros(-array.nbytes % _ALIGNMENT, np.uint8)
    return [part for part in (array.reshape(-1).view(np.uint8), padding) if part.size]


def _padding(length: int) -> bytes:
    return bytes(-length % _ALIGNMENT)


def _checksum(head: Array, rest: Sequence[Array] = ()) -> int:
    """CRC32C of all bytes but its own four; numpy arrays, because the C function refuses memoryviews."""
    crc = google_crc32c.value(head[:_CHECKSUM_AT])
    for part in (head[_PREFIX.size :], *rest):
        crc = google_crc32c.extend(crc, part)
    return int(crc)


def _check_prefix(raw: Array) -> int:
    """Returns the header's length after magic, wire number, lengths and checksum held."""
    if len(raw) < _PREFIX.size:
        raise MalformedBodyError(f"body of {len(raw)} bytes is shorter than its prefix of {_PREFIX.size}")
    magic, wire, reserved, header_length, checksum = _PREFIX.unpack_from(raw.data)
    if magic != _MAGIC:
        raise MalformedBodyError("body does not start with ADQL")
    if wire != WIRE:
        raise WireVersionError(
            f"body speaks wire {wire}, this side speaks wire {WIRE}; run the same release on both sides",
            wire=WIRE,
            received=wire,
        )
    _check_header_length(header_length)
    if reserved or _PREFIX.size + header_length > len(raw):
        raise MalformedBodyError(f"header of {header_length} bytes does not fit a body of {len(raw)} bytes")
    if _checksum(raw) != checksum:
        raise MalformedBodyError("checksum does not hold: the body was damaged on its way; send it again")
    return int(header_length)


def _check_header_length(length: int) -> None:
    if length > MAX_HEADER_BYTES:
        raise MalformedBodyError(f"header of {length} bytes; at most {MAX_HEADER_BYTES}")


def _parse_header(raw: Array, length: int) -> _Header:
    try:
        header = _decoder.decode(raw[_PREFIX.size : _PREFIX.size + length].data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise MalformedBodyError("header is not the JSON that this wire number asks for") from None
    if len(header.fields) > MAX_FIELDS:
        raise MalformedBodyError(f"header has {len(header.fields)} fields; at most {MAX_FIELDS}")
    return header


def _match(
    declared: Sequence[tuple[str, str, list[int]]], expected: Sequence[ArraySpec], optional: Sequence[ArraySpec]
) -> list[ArraySpec]:
    """Returns the declared arrays after each was found to be the expected one."""
    names = [name for name, _, _ in declared]
    wanted = [*expected, *(spec for spec in optional if spec.name in names)]
    if names != [spec.name for spec in wanted]:
        raise MalformedBodyError(f"body must hold the arrays {_named(expected, optional)}, in this order")
    lengths: dict[int, int] = {}
    for (_, dtype, shape), want in zip(declared, wanted, strict=True):
        _match_one(dtype, shape, want, lengths)
    return [ArraySpec(name, tuple(shape), dtype) for name, dtype, shape in declared]


def _named(expected: Sequence[ArraySpec], optional: Sequence[ArraySpec]) -> str:
    names, more = ", ".join(spec.name for spec in expected), " or ".join(spec.name for spec in optional)
    return " and perhaps ".join(part for part in (names, more) if part)


def _match_one(dtype: str, shape: Sequence[int], want: ArraySpec, lengths: dict[int, int]) -> None:
    """Checks one array; ``lengths`` are those that ANY and its like have had so far."""
    if dtype != want.dtype or dtype not in _DTYPES or len(shape) != len(want.shape):
        raise MalformedBodyError(f"array {want.name} must be {want.dtype} with {len(want.shape)} axes")
    for have, need in zip(shape, want.shape, strict=True):
        needed = lengths.setdefault(need, have) if need in (ANY, ANY_OTHER, ANY_THIRD) else need
        if have != needed or have < 0:
            raise MalformedBodyError(f"array {want.name} has an axis of length {have}, needed is {needed}")


def _padded_bytes(spec: ArraySpec) -> int:
    size = math.prod(spec.shape) * _DTYPES[spec.dtype].itemsize
    return size + -size % _ALIGNMENT


def _check_layout(raw: Array, header_end: int, specs: Sequence[ArraySpec]) -> int:
    """Checks padding and total length; returns where the first array starts."""
    start = header_end + -header_end % _ALIGNMENT
    total = start + sum(_padded_bytes(spec) for spec in specs)
    if total != len(raw):
        raise MalformedBodyError(f"body has {len(raw)} bytes, its header declares {total}")
    if raw[header_end:start].any():
        raise MalformedBodyError("padding behind the header is not zero")
    return start


def _view(raw: Array, offset: int, spec: ArraySpec) -> Array:
    dtype = _DTYPES[spec.dtype]
    size = math.prod(spec.shape) * dtype.itemsize
    if raw[offset + size : offset + _padded_bytes(spec)].any():
        raise MalformedBodyError(f"padding behind array {spec.name} is not zero")
    if spec.dtype == "bool" and size and raw[offset : offset + size].max() > 1:
        raise MalformedBodyError(f"array {spec.name} holds a byte that is neither 0 nor 1")
    view = raw[offset : offset + size].view(dtype).reshape(spec.shape)
    view.flags.writeable = False
    return view
