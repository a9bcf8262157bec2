"""One frame of zstd: what goes in comes out, and nothing that a stranger sends makes more than was expected."""

import threading
import tracemalloc

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from adql.compression import compress, decompress
from adql.errors import MalformedBodyError

DATA = bytes(range(7)) * 1_000
SKIPPED = b"\x50\x2a\x4d\x18" + len(DATA).to_bytes(4, "little") + bytes(len(DATA))


@given(st.binary(max_size=2_000))
def test_what_was_compressed_comes_back(data):
    assert decompress(compress(data), len(data)) == data


@pytest.mark.parametrize("kind", [bytearray, memoryview, lambda data: np.frombuffer(data, np.uint8).data])
def test_every_kind_of_buffer_is_taken_and_none_is_changed(kind):
    data = kind(DATA)
    assert decompress(kind(compress(data)), len(DATA)) == DATA == bytes(data)


def test_the_same_bytes_become_the_same_frame_each_time():
    assert compress(DATA) == compress(bytearray(DATA))
    assert len(compress(DATA)) < len(DATA) / 20


@pytest.mark.parametrize(
    ("frame", "complaint"),
    [
        (b"", "not one whole zstd frame"),
        (b"no frame at all", "not one whole zstd frame"),
        (compress(DATA)[:4], "not one whole zstd frame"),
        (compress(DATA)[:-1], "did not decompress full frame"),
        (compress(DATA) + b"\0", "unused data"),
        (compress(DATA) + compress(b""), "unused data"),
        (compress(DATA) * 2, "unused data"),
        (compress(DATA[:-1]), "frame declares 6999 bytes, needed are 7000 bytes"),
        (compress(DATA + b"x"), "frame declares 7001 bytes, needed are 7000 bytes"),
        (compress(b""), "frame declares 0 bytes"),
        (zstandard.ZstdCompressor(write_content_size=False).compress(DATA), "does not say how many bytes it holds"),
        (SKIPPED, "not one whole zstd frame"),
        (zstandard.ZstdCompressor(dict_data=zstandard.ZstdCompressionDict(DATA)).compress(DATA), "not one whole"),
    ],
)
def test_anything_else_is_refused_in_one_line(frame, complaint):
    with pytest.raises(MalformedBodyError, match=complaint) as refusal:
        decompress(frame, len(DATA))
    assert "\n" not in str(refusal.value)


@given(st.data())
def test_a_garbled_frame_is_refused_or_of_the_expected_length(data):
    frame = bytearray(compress(DATA))
    frame[data.draw(st.integers(0, len(frame) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        assert len(decompress(frame, len(DATA))) == len(DATA)  # its checksum stands outside, for all of a body
    except MalformedBodyError:
        pass


def test_a_bomb_is_refused_before_anything_is_allocated():
    bomb = compress(bytes(50_000_000))
    assert len(bomb) < 10_000
    tracemalloc.start()
    try:
        with pytest.raises(MalformedBodyError, match="declares 50000000 bytes, needed are 7000"):
            decompress(bomb, len(DATA))
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_a_frame_that_lies_about_its_length_makes_no_more_than_it_says():
    lie = bytearray(compress(bytes(1_000_000)))
    at = bytes(lie).index((1_000_000).to_bytes(4, "little"))
    lie[at : at + 4] = len(DATA).to_bytes(4, "little")
    with pytest.raises(MalformedBodyError, match="not one whole zstd frame"):
        decompress(lie, len(DATA))


def test_threads_do_not_disturb_each_other():
    wrong = []

    def work(number: int) -> None:
        data = np.random.default_rng(number).integers(0, 3, 20_000, np.uint8).tobytes()
        wrong.extend(data for _ in range(50) if decompress(compress(data), len(data)) != data)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
