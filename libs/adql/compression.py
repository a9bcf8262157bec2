"""Zstandard for what is mostly zeros, or alike: one frame each, whose header tells how long it is unpacked."""

import threading
from typing import Final

import zstandard

from adql.errors import MalformedBodyError

LEVEL: Final = 1
"""The fastest that still packs zeros well; a higher one costs more time than its bytes save on 100 Mbit/s."""

_Data = bytes | bytearray | memoryview


class _Contexts(threading.local):
    """One of each a thread: they are not to be used by two at once, and making one takes as long as a small frame."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=LEVEL)
        self.decompressor = zstandard.ZstdDecompressor()


_contexts = _Contexts()


def compress(data: _Data) -> bytes:
    """Returns ``data``, C-contiguous (of an array: ``array.data``), as one frame without a checksum."""
    return _contexts.compressor.compress(data)


def decompress(data: _Data, expected_bytes: int) -> bytes:
    """Returns the ``expected_bytes`` that ``compress`` was given; no frame makes it allocate more than those.

    Raises:
        MalformedBodyError: no frame, one of another size, an incomplete one, or bytes behind it.
    """
    try:
        declared = zstandard.get_frame_parameters(data).content_size
        if declared != expected_bytes:
            raise MalformedBodyError(f"zstd {_told(declared)}, needed are {expected_bytes} bytes")
        unpacked = _contexts.decompressor.decompress(data, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise MalformedBodyError(f"not one whole zstd frame: {error}; compress it again and send it again") from None
    if len(unpacked) != expected_bytes:
        raise MalformedBodyError(f"zstd frame held {len(unpacked)} bytes, needed are {expected_bytes}")
    return unpacked


def _told(declared: int) -> str:
    unknown = declared == zstandard.CONTENTSIZE_UNKNOWN
    return "frame does not say how many bytes it holds" if unknown else f"frame declares {declared} bytes"
