import json
import random
import struct
import tracemalloc

import google_crc32c
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adql.encodings import from_wire, to_wire
from adql.errors import MalformedBodyError, WireError, WireVersionError
from adql.types import ArraySpec
from adql.wire.codec import ANY, WIRE, decode, encode

COLUMNS = [
    ArraySpec("observation", (ANY, 3, 2), "uint8"),
    ArraySpec("action", (ANY,), "int32"),
    ArraySpec("legal", (ANY, 2), "bool"),
]
OPTIONAL = [ArraySpec("td_error", (ANY,), "float32")]
FIELDS = {"session": "a" * 8, "chunk": 3, "share": 0.5, "epoch": [1, 2], "again": False, "nothing": None}


def columns(rows: int) -> dict:
    return {
        "observation": np.arange(rows * 6, dtype=np.uint8).reshape(rows, 3, 2),
        "action": np.arange(rows, dtype=np.int32),
        "legal": np.ones((rows, 2), np.bool_),
    }


def crafted(arrays: list, payload: bytes = b"", fields: object = None, header_padding: bytes | None = None) -> bytes:
    """A body with a valid checksum around any header and payload."""
    header = json.dumps({"fields": fields or {}, "arrays": arrays}).encode()
    padding = bytes(-(16 + len(header)) % 8) if header_padding is None else header_padding
    return sealed(struct.pack("<4sHHII", b"ADQL", WIRE, 0, len(header), 0) + header + padding + payload)


def sealed(body: bytes) -> bytes:
    crc = google_crc32c.extend(google_crc32c.value(body[:12]), body[16:])
    return body[:12] + struct.pack("<I", crc) + body[16:]


def test_damaged_body_says_the_way_out():
    body = bytearray(b"".join(encode({"n": 1}, {})))
    body[-1] ^= 1
    with pytest.raises(MalformedBodyError, match=r"checksum does not hold: .*; send it again"):
        decode(body, [])


def test_checksums_are_computed_by_the_c_implementation():
    assert google_crc32c.implementation == "c"


@pytest.mark.parametrize("rows", [0, 1, 5, 64])
def test_what_was_encoded_is_decoded_to_the_same_values(rows):
    message = decode(b"".join(encode(FIELDS, columns(rows))), COLUMNS)
    assert message.fields == FIELDS
    for name, array in columns(rows).items():
        np.testing.assert_array_equal(message.arrays[name], array, strict=True)


@pytest.mark.parametrize("name", ["bool", "uint8", "uint64", "int8", "int16", "float16", "float32", "float64"])
def test_every_dtype_and_a_scalar_survive(name):
    arrays = {"some": np.array([1, 0, 1], name), "one": np.array(1, name)}
    decoded = decode(b"".join(encode({}, arrays)), [ArraySpec("some", (3,), name), ArraySpec("one", (), name)]).arrays
    assert decoded["some"].tolist() == arrays["some"].tolist() and decoded["one"] == arrays["one"]


def test_encoding_does_not_copy_arrays():
    array = np.zeros(1000, np.float32)
    _, payload = encode({}, {"parameters": array})
    array[7] = 3.0
    assert np.frombuffer(payload, np.float32)[7] == 3.0


def test_decoded_arrays_are_read_only_views_of_the_body():
    body = bytearray(b"".join(encode({}, columns(4))))
    action = decode(memoryview(body), COLUMNS).arrays["action"]
    body[body.index(struct.pack("<4i", 0, 1, 2, 3))] = 9
    assert action[0] == 9 and not action.flags.writeable and action.flags.aligned


def test_an_optional_array_may_be_there_or_not():
    with_errors = {**columns(4), "td_error": np.ones(4, np.float32)}
    assert "td_error" in decode(b"".join(encode({}, with_errors)), COLUMNS, optional=OPTIONAL).arrays
    assert "td_error" not in decode(b"".join(encode({}, columns(4))), COLUMNS, optional=OPTIONAL).arrays


@pytest.mark.parametrize(
    "array",
    [np.zeros((4, 4), np.float32).T[1:], np.zeros(4, ">f4"), np.array(["a"]), np.zeros(2, np.complex64)],
    ids=["not contiguous", "big endian", "text", "complex"],
)
def test_an_array_that_cannot_go_as_it_is_is_refused(array):
    with pytest.raises(MalformedBodyError, match="array bad"):
        encode({}, {"bad": array})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_field_that_is_not_finite_is_refused_on_both_sides(value):
    with pytest.raises(MalformedBodyError, match="not finite"):
        encode({"loss": value}, {})
    with pytest.raises(MalformedBodyError):
        decode(crafted([], fields={"loss": value}), [])


def test_a_number_beyond_float64_is_refused():
    header = b'{"fields":{"loss":1e999},"arrays":[]}'
    body = struct.pack("<4sHHII", b"ADQL", WIRE, 0, len(header), 0) + header + bytes(-(16 + len(header)) % 8)
    with pytest.raises(MalformedBodyError):
        decode(sealed(body), [])


def test_another_wire_number_names_both():
    body = bytearray(b"".join(encode({}, columns(1))))
    body[4:6] = struct.pack("<H", 7)
    with pytest.raises(WireVersionError, match=f"wire 7.*wire {WIRE}"):
        decode(body, COLUMNS)


def test_a_single_flipped_bit_anywhere_is_noticed():
    body = b"".join(encode(FIELDS, columns(2)))
    for bit in range(len(body) * 8):
        damaged = bytearray(body)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(WireError):
            decode(damaged, COLUMNS)


ONE = [ArraySpec("p", (ANY,))]
BAD_ARRAYS = {
    "negative": ([["p", "float32", [-2]]], b""),
    "huge": ([["p", "float32", [2**60]]], b"\0" * 8),
    "beyond 64 bits": ([["p", "float32", [2**70]]], b"\0" * 8),
    "overflowing to the right length": ([["p", "float32", [2**62 + 2]]], b"\0" * 8),
    "float length": ([["p", "float32", [2.0]]], b"\0" * 8),
    "too many axes": ([["p", "float32", [1, 2]]], b"\0" * 8),
    "unknown dtype": ([["p", "object", [2]]], b"\0" * 8),
    "other dtype": ([["p", "int32", [2]]], b"\0" * 8),
    "narrower dtype": ([["p", "bfloat16", [4]]], b"\0" * 8),
    "other name": ([["q", "float32", [2]]], b"\0" * 8),
    "duplicated name": ([["p", "float32", [2]], ["p", "float32", [2]]], b"\0" * 16),
    "missing": ([], b""),
    "trailing bytes": ([["p", "float32", [2]]], b"\0" * 16),
    "too short": ([["p", "float32", [4]]], b"\0" * 8),
    "padding not zero": ([["p", "float32", [1]]], b"\0\0\0\0\1\0\0\0"),
    "no padding": ([["p", "float32", [1]]], b"\0\0\0\0"),
    "overlapping": ([["p", "float32", [2]], ["r", "float32", [2]]], b"\0" * 8),
}


def test_bfloat16_is_a_dtype_of_its_own_and_no_uint16():
    encoded, expected = to_wire(np.array([1.0, -2.0], np.float32), "bfloat16"), [ArraySpec("p", (2,), "bfloat16")]
    message = decode(b"".join(encode({}, {"p": encoded})), expected)
    assert from_wire(message.arrays["p"]).tolist() == [1.0, -2.0]
    with pytest.raises(MalformedBodyError, match="must be bfloat16"):
        decode(b"".join(encode({}, {"p": encoded.view(np.uint16)})), expected)


@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_a_lying_header_is_refused(case):
    arrays, payload = BAD_ARRAYS[case]
    expected = [*ONE, ArraySpec("r", (ANY,))] if case == "overlapping" else ONE
    with pytest.raises(MalformedBodyError):
        decode(crafted(arrays, payload), expected)


def test_arrays_with_different_numbers_of_rows_are_refused():
    arrays = [["p", "float32", [2]], ["r", "float32", [4]]]
    with pytest.raises(MalformedBodyError, match="length 4, needed is 2"):
        decode(crafted(arrays, bytes(24)), [*ONE, ArraySpec("r", (ANY,))])


def test_padding_behind_the_header_must_be_zero():
    length = len(json.dumps({"fields": {"a": ""}, "arrays": []}))
    fill = "x" * (-(16 + length) % 8 + 3)
    with pytest.raises(MalformedBodyError, match="padding behind the header"):
        decode(crafted([], fields={"a": fill}, header_padding=b"\1" * 5), [])


def test_a_boolean_byte_of_two_is_refused():
    with pytest.raises(MalformedBodyError, match="neither 0 nor 1"):
        decode(crafted([["m", "bool", [8]]], b"\2" * 8), [ArraySpec("m", (8,), "bool")])


def test_a_header_of_more_than_64_kib_is_refused_on_both_sides():
    with pytest.raises(MalformedBodyError, match="at most 65536"):
        encode({"text": "x" * 70_000}, {})
    with pytest.raises(MalformedBodyError, match="at most 65536"):
        decode(crafted([], fields={"text": "x" * 70_000}), [])


@pytest.mark.parametrize("shape", [[2**60], [2**30, 2**30], [2**63 - 1] * 3, [2**31] * 32])
def test_declared_sizes_up_to_2_to_the_60_and_beyond_allocate_less_than_1_mb(shape):
    body = crafted([["p", "float64", shape]])
    tracemalloc.start()
    try:
        with pytest.raises(MalformedBodyError):
            decode(body, [ArraySpec("p", tuple(shape), "float64")])
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def mutated(body: bytes, rng: random.Random) -> bytes:
    damaged = bytearray(body)
    for _ in range(rng.randint(1, 4)):
        at, kind = rng.randrange(len(damaged)), rng.randrange(6)
        if kind == 0:
            damaged[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del damaged[at:]
        elif kind == 2:
            damaged[at:at] = rng.randbytes(rng.randint(1, 9))
        elif kind == 3:
            del damaged[at : at + rng.randint(1, 9)]
        elif kind == 4:
            damaged[at : at + 1] = rng.choice([b"-", b"9" * 20, b"1e9", b'"', b"[", b"null", b"\xff\xfe", b"\0"])
        else:
            damaged[8:12] = struct.pack("<I", rng.choice([0, 1, 2**16, 2**31, 2**32 - 1, len(damaged)]))
        if not damaged:
            return b""
    return bytes(damaged)


def lying(rng: random.Random) -> bytes:
    """A body whose checksum and header length hold and whose list of arrays mostly does not."""
    arrays = [["observation", "uint8", [5, 3, 2]], ["action", "int32", [5]], ["legal", "bool", [5, 2]]]
    for _ in range(rng.randint(0, 2)):
        lie = rng.choice(arrays)
        lie[rng.randrange(3)] = rng.choice(
            [
                "legal",
                "int32",
                "float32",
                [],
                [5],
                [0],
                [5, 2],
                [5, 3, 2],
                [-5],
                [2**60],
                [10, 3],
                [True],
                None,
                5,
                [[5]],
            ]
        )
        if rng.random() < 0.3:
            arrays.insert(rng.randrange(3), arrays[rng.randrange(3)])
    return crafted(
        arrays, rng.choice([b"\1" * 30 + bytes(34 + 10 + 6), bytes(72), bytes(80), bytes(rng.randrange(99))])
    )


def mutant(number: int, honest: bytes, rng: random.Random) -> bytes:
    if number % 2:
        return lying(rng)
    damaged = mutated(honest, rng)
    return sealed(damaged) if number % 4 and len(damaged) >= 16 else damaged


def test_twenty_thousand_mutants_raise_wire_errors_or_decode_to_what_was_expected():
    rng, honest = random.Random(7), b"".join(encode(FIELDS, {**columns(5), "td_error": np.ones(5, np.float32)}))
    refused = 0
    for number in range(20_000):
        try:
            arrays = decode(mutant(number, honest, rng), COLUMNS, optional=OPTIONAL).arrays
        except WireError:
            refused += 1
        else:
            rows = {len(array) for array in arrays.values()}
            assert len(rows) == 1 and arrays["observation"].shape[1:] == (3, 2) and set(arrays["legal"].flat) <= {0, 1}
    assert 15_000 < refused < 19_900


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_random_bytes_raise_nothing_but_wire_errors(garbage, with_prefix):
    body = sealed(struct.pack("<4sHHII", b"ADQL", WIRE, 0, len(garbage), 0) + garbage) if with_prefix else garbage
    with pytest.raises(WireError):
        decode(body, ONE)


def test_field_helpers_return_what_fits():
    message = decode(b"".join(encode(FIELDS, {})), [])
    assert (message.integer("chunk"), message.text("session")) == (3, "a" * 8)


@pytest.mark.parametrize(
    "ask",
    [
        lambda m: m.integer("absent"),
        lambda m: m.integer("share"),
        lambda m: m.integer("again"),
        lambda m: m.integer("chunk", at_least=4),
        lambda m: m.integer("chunk", at_most=2),
        lambda m: m.text("session", max_length=7),
        lambda m: m.text("chunk"),
    ],
)
def test_field_helpers_refuse_what_does_not_fit(ask):
    with pytest.raises(MalformedBodyError, match="field"):
        ask(decode(b"".join(encode(FIELDS, {})), []))


@pytest.mark.parametrize("value", [2**63, -(2**64), 2**200])
def test_an_integer_beyond_64_bits_is_malformed(value):
    with pytest.raises(MalformedBodyError):
        decode(crafted([], fields={"big": value}), []).integer("big")
