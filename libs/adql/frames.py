"""How a frame of a stack travels and is kept: compressed by whoever saw it, taken apart by whoever learns from it.

In between it is a few bytes that are compared, stored and sent as they are. Many of them stand in two arrays: their
bytes, one frame after the other, and the length of each.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from adql.compression import Zstd
from adql.errors import MalformedBodyError
from adql.types import Array, ArraySpec

FRAME, FRAME_BYTES = "frame", "frame_bytes"
"""The array (b,) uint8 of all frames' bytes, and that (m,) int32 of the length of each."""
LEVEL = 5
"""Of zstd: the first that is smaller by 5 % than those before; of a frame of Pong 160 bytes in 12 µs."""


class FrameCodec:
    """Compresses frames of one shape and dtype, and takes apart only what is exactly one of them; one thread's own."""

    def __init__(self, frame: ArraySpec) -> None:
        self._frame, self._bytes = frame, frame.size * np.dtype(frame.dtype).itemsize
        self._zstd = Zstd(LEVEL, magicless=True, source_bytes=self._bytes)

    def pack(self, frame: bytes) -> bytes:
        """Returns the bytes of one frame, compressed; the same ones for the same frame."""
        return self._zstd.compress(frame)

    def unpack(self, packed: bytes) -> bytes:
        """Returns what ``pack`` was given, or the like from another implementation.

        Raises:
            MalformedBodyError: it is not exactly one frame; nothing larger than a frame was made of it.
        """
        return self._zstd.decompress(packed, self._bytes)

    def check(self, packed: bytes) -> None:
        """Refuses what a learner could not learn from.

        Raises:
            MalformedBodyError: it is too long, not exactly one frame, or has a number that is not finite.
        """
        if len(packed) > (longest := longest_packed(self._frame)):
            raise MalformedBodyError(f"{len(packed)} bytes, a compressed frame has at most {longest}")
        content = np.frombuffer(self.unpack(packed), np.uint8)
        if self._frame.dtype == "bool" and content.max() > 1:
            raise MalformedBodyError("a byte that is neither 0 nor 1")
        if np.dtype(self._frame.dtype).kind == "f" and not np.isfinite(content.view(self._frame.dtype)).all():
            raise MalformedBodyError("a number that is not finite")

    def unpacked(self, frames: Sequence[bytes]) -> Array:
        """Returns a new array (m, …) of ``frames``.

        Raises:
            MalformedBodyError: one of them is not exactly one frame.
        """
        contents = np.empty((len(frames), self._bytes), np.uint8)
        for place, packed in enumerate(frames):  # one at a time: a list of them would be as large again
            contents[place] = np.frombuffer(self.unpack(packed), np.uint8)
        return contents.view(self._frame.dtype).reshape(len(frames), *self._frame.shape)


def longest_packed(frame: ArraySpec) -> int:
    """Returns how many bytes a frame that cannot be compressed may have: zstd's own bound."""
    size = frame.size * np.dtype(frame.dtype).itemsize
    return size + size // 256 + 64


def joined(frames: Iterable[bytes]) -> dict[str, Array]:
    """Returns ``frames`` as the arrays FRAME_BYTES and FRAME."""
    frames = list(frames)
    lengths = np.fromiter(map(len, frames), np.int32, len(frames))
    return {FRAME_BYTES: lengths, FRAME: np.frombuffer(b"".join(frames), np.uint8)}


def check_lengths(columns: Mapping[str, Array]) -> None:
    """Refuses what ``separated`` would; makes nothing.

    Raises:
        MalformedBodyError: a length below 1, or lengths whose sum is not that of the bytes.
    """
    lengths, content = columns[FRAME_BYTES], columns[FRAME]
    if (lengths < 1).any() or lengths.sum(dtype=np.int64) != len(content):
        raise MalformedBodyError(f"{FRAME_BYTES} must be lengths from 1 that add up to the {len(content)} of {FRAME}")


def separated(columns: Mapping[str, Array]) -> list[bytes]:
    """Returns the frames that ``joined`` was given.

    Raises:
        MalformedBodyError: a length below 1, or lengths whose sum is not that of the bytes.
    """
    check_lengths(columns)
    ends, everything = list(itertools.accumulate(columns[FRAME_BYTES].tolist())), columns[FRAME].tobytes()
    return [everything[start:end] for start, end in zip([0, *ends], ends, strict=False)]
