"""Packing is lossless in every encoding, and a packed update is of exactly the size that was expected."""

import numpy as np
import pytest

from adql.compression import compress
from adql.encodings import to_wire
from adql.errors import MalformedBodyError
from adql.types import ArraySpec, Version
from adql.wire import codec
from adql.wire.learner_requests import read_update, update_body, update_vector
from adql.wire.packing import pack, unpack
from adql.wire.unacknowledged import HeldUpdate

ENCODINGS = ["float32", "float16", "bfloat16"]
SIZE = 5_000


def gradient(zeros: float = 0.75) -> np.ndarray:
    rng = np.random.default_rng(0)
    vector = rng.normal(0.0, 1e-3, SIZE).astype(np.float32)
    vector[rng.random(SIZE) < zeros] = 0.0
    vector[:4] = np.nan, np.inf, -np.inf, -0.0
    return vector


def message(name: str, array: np.ndarray) -> bytes:
    return b"".join(codec.encode({}, {name: array}))


def received(body: bytes, encoding: str = "float32") -> np.ndarray:
    return update_vector(read_update(body, SIZE, encoding), SIZE, encoding)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_packing_keeps_every_bit(encoding):
    array = to_wire(gradient(), encoding)
    again = unpack(pack(array), SIZE, encoding)
    assert again.dtype == array.dtype and again.tobytes() == array.tobytes()


def test_planes_lay_the_first_bytes_of_all_numbers_side_by_side():
    packed = pack(np.array([0x01020304, 0x11121314], np.uint32).view(np.float32))
    assert packed.tobytes() == compress(bytes.fromhex("0414 0313 0212 0111"))


def test_a_gradient_of_many_zeros_gets_short_in_bfloat16():
    encoded = to_wire(gradient(), "bfloat16")
    assert pack(encoded).nbytes < encoded.nbytes / 2
    assert pack(encoded).tobytes() == pack(encoded.copy()).tobytes()


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("packed", [False, True])
def test_update_is_read_as_it_was_whichever_way_it_came(encoding, packed):
    array = to_wire(gradient(), encoding)
    held = HeldUpdate(3, Version(1, 2), pack(array) if packed else array, 1, 0, packed)
    body = b"".join(update_body(held, "s", "c", "r"))
    assert received(body, encoding).tobytes() == array.tobytes()
    assert (len(body) < array.nbytes) == packed


FRAME = pack(gradient())


@pytest.mark.parametrize(
    ("array", "complaint"),
    [
        (FRAME[:-1], "not one whole zstd frame"),
        (np.append(FRAME, np.uint8(0)), "not one whole zstd frame"),
        (FRAME[::-1].copy(), "not one whole zstd frame"),
        (FRAME[:0], "not one whole zstd frame"),
        (pack(gradient()[:-1]), "declares 19996 bytes, needed are 20000"),
        (pack(to_wire(gradient(), "bfloat16")), "declares 10000 bytes, needed are 20000"),
        (np.frombuffer(compress(bytes(10**7)), np.uint8), "declares 10000000 bytes, needed are 20000"),
        (FRAME.view(np.int8), "must be uint8"),
    ],
    ids=["short", "long", "garbled", "empty", "fewer numbers", "another encoding", "bomb", "another dtype"],
)
def test_anything_but_one_update_of_this_size_is_malformed(array, complaint):
    with pytest.raises(MalformedBodyError, match=complaint):
        received(message("update_zstd", array))


@pytest.mark.parametrize("arrays", [{}, {"update": gradient(), "update_zstd": FRAME}])
def test_an_update_comes_plain_or_packed_and_not_both(arrays):
    with pytest.raises(MalformedBodyError, match="body must hold one array, update or update_zstd"):
        received(b"".join(codec.encode({}, arrays)))


def test_an_array_of_another_name_is_told_which_are_taken():
    with pytest.raises(MalformedBodyError, match="must hold the arrays update or update_zstd, in this order"):
        received(message("gradient", gradient()))


def test_a_reader_that_knows_no_packing_refuses_it_and_reads_nothing_wrong():
    with pytest.raises(MalformedBodyError, match="must hold the arrays update, in this order"):
        codec.decode(message("update_zstd", FRAME), [ArraySpec("update", (SIZE,))])
