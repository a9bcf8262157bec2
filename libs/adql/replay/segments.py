"""Files as rows of checksummed segments."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import google_crc32c

from adql.errors import CheckpointError, ForeignCheckpointError

_NAME, FORMAT = b"ADQLREPLAY\x00", 2
MAGIC = _NAME + bytes([FORMAT])
_HEADER = struct.Struct("<4sIQ")
"""Kind, CRC32C of kind, length and payload, length of the payload."""


def write_segment(file: BinaryIO, kind: bytes, *parts: bytes) -> None:
    """Appends a segment of ``kind`` (4 bytes); its payload is ``parts``, one after the other."""
    length = sum(len(part) for part in parts)
    checksum = google_crc32c.value(kind + length.to_bytes(8, "little"))
    for part in parts:
        checksum = google_crc32c.extend(checksum, part)
    file.write(_HEADER.pack(kind, checksum, length))
    for part in parts:
        file.write(part)


def read_segments(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Yields kind and payload of each segment before the TAIL.

    Raises:
        ForeignCheckpointError: it is in the format of an earlier release.
        CheckpointError: a byte is missing, changed or too many.
    """
    with path.open("rb") as file:
        if (start := file.read(len(MAGIC))) != MAGIC:
            raise _not_ours(path, start)
        while (segment := _read_segment(file, path))[0] != b"TAIL":
            yield segment
        if file.read(1):
            raise corrupt(path, "it goes on behind its end")


def _read_segment(file: BinaryIO, path: Path) -> tuple[bytes, bytes]:
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size:
        raise corrupt(path, "it ends before its tail")
    kind, checksum, length = _HEADER.unpack(header)
    if length > path.stat().st_size:
        raise corrupt(path, "a segment is longer than the file")
    payload = file.read(length)
    if google_crc32c.extend(google_crc32c.value(kind + length.to_bytes(8, "little")), payload) != checksum:
        raise corrupt(path, f"the checksum of a segment that ends at byte {file.tell()} does not hold")
    return kind, payload


def _not_ours(path: Path, start: bytes) -> CheckpointError:
    if start not in [_NAME + bytes([earlier]) for earlier in range(1, FORMAT)]:
        return corrupt(path, "it does not begin as a replay snapshot of this release")
    return ForeignCheckpointError(
        f"{path} is a replay snapshot of format {start[-1]}, this release reads {FORMAT}; run the release that "
        "wrote it, or delete the file: the table then begins empty"
    )


def corrupt(path: Path, reason: str) -> CheckpointError:
    """Returns the error for a file that is not as it was written."""
    return CheckpointError(f"{path} is corrupt: {reason}")
