"""Zstandard for what is mostly zeros, or alike: one frame each, whose header tells how long it is unpacked."""

import threading
from typing import Final

import zstandard

from adql.errors import MalformedBodyError

LEVEL: Final = 1
"""The fastest that still packs zeros well; a higher one costs more time than its bytes save on 100 Mbit/s."""

_Data = bytes | bytearray | memoryview


class Zstd:
    """Frames of one format; one thread's own, and worth keeping: making it takes as long as a small frame."""

    def __init__(self, level: int, *, magicless: bool = False, source_bytes: int = 0) -> None:
        """``magicless``: without the four bytes that say "zstd"; ``source_bytes``: what a frame holds, where known."""
        self._format = zstandard.FORMAT_ZSTD1_MAGICLESS if magicless else zstandard.FORMAT_ZSTD1
        parameters = zstandard.ZstdCompressionParameters.from_level(
            level, source_size=source_bytes, format=self._format
        )
        self._compressor = zstandard.ZstdCompressor(compression_params=parameters)
        self._decompressor = zstandard.ZstdDecompressor(format=self._format)

    def compress(self, data: _Data) -> bytes:
        """Returns ``data``, C-contiguous (of an array: ``array.data``), as one frame without a checksum."""
        return self._compressor.compress(data)

    def decompress(self, data: _Data, expected_bytes: int) -> bytes:
        """Returns the ``expected_bytes`` that ``compress`` was given; no frame makes it allocate more than those.

        Raises:
            MalformedBodyError: no frame, one of another size, an incomplete one, or bytes behind it.
        """
        try:
            declared = zstandard.get_frame_parameters(data, format=self._format).content_size
            if declared != expected_bytes:
                raise MalformedBodyError(f"zstd {_told(declared)}, needed are {expected_bytes} bytes")
            unpacked = self._decompressor.decompress(data, allow_extra_data=False)
        except zstandard.ZstdError as error:
            message = f"not one whole zstd frame: {error}; compress it again and send it again"
            raise MalformedBodyError(message) from None
        if len(unpacked) != expected_bytes:
            raise MalformedBodyError(f"zstd frame held {len(unpacked)} bytes, needed are {expected_bytes}")
        return unpacked


class _Contexts(threading.local):
    """One a thread."""

    def __init__(self) -> None:
        self.zstd = Zstd(LEVEL)


_contexts = _Contexts()


def compress(data: _Data) -> bytes:
    """Returns ``data`` as one frame of LEVEL; from any thread."""
    return _contexts.zstd.compress(data)


def decompress(data: _Data, expected_bytes: int) -> bytes:
    """Returns the ``expected_bytes`` that ``compress`` was given; from any thread.

    Raises:
        MalformedBodyError: as ``Zstd.decompress``.
    """
    return _contexts.zstd.decompress(data, expected_bytes)


def _told(declared: int) -> str:
    unknown = declared == zstandard.CONTENTSIZE_UNKNOWN
    return "frame does not say how many bytes it holds" if unknown else f"frame declares {declared} bytes"
