"""The newest announced commit on the server's own volume, written before every announcement.

Two slots of one file are overwritten in turn, each with its checksum: one small synced write a commit, with no new file
name, and a torn slot leaves the one before it. Replacing a whole file would cost three times the commit itself.
"""

import os
import struct
import zlib
from pathlib import Path

import msgspec

from adql.errors import CheckpointError
from adql.files import write_atomically
from adql.parameters.state import WAY_OUT

SLOT_BYTES = 4_096
_PREFIX = struct.Struct("<II")


class VolumeRecord(msgspec.Struct, frozen=True):
    """The run and the newest announced commit."""

    name: str
    run_id: str
    epoch: int
    number: int = msgspec.field(name="version")
    """Of the committed version; the file calls it as it always did."""
    commit: int

    @property
    def order(self) -> tuple[int, int, int]:
        """What grows with every commit."""
        return self.epoch, self.number, self.commit


class Watermark:
    """One server's ``path``; made when it is first written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._next_slot = 0

    def read(self) -> VolumeRecord | None:
        """Returns the newest whole record, None if there never was one.

        Raises:
            CheckpointError: the file is there and neither slot is whole.
        """
        if not self._path.exists():
            return None
        slots = [_decoded(self._path.read_bytes()[start : start + SLOT_BYTES]) for start in (0, SLOT_BYTES)]
        records = [(record.order, slot, record) for slot, record in enumerate(slots) if record is not None]
        if not records:
            raise CheckpointError(f"{self._path} is damaged; {WAY_OUT}")
        _, slot, record = max(records)
        self._next_slot = 1 - slot
        return record

    def write(self, record: VolumeRecord) -> None:
        """Writes ``record`` over the older slot and syncs it.

        Raises:
            OSError: the newer slot is still whole.
        """
        if not self._path.exists():
            write_atomically(self._path, _encoded(record), _encoded(record))
            return
        descriptor = os.open(self._path, os.O_WRONLY)
        try:
            os.pwrite(descriptor, _encoded(record), self._next_slot * SLOT_BYTES)
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        self._next_slot = 1 - self._next_slot


def _encoded(record: VolumeRecord) -> bytes:
    text = msgspec.json.encode(record)
    return (_PREFIX.pack(len(text), zlib.crc32(text)) + text).ljust(SLOT_BYTES, b"\0")


def _decoded(slot: bytes) -> VolumeRecord | None:
    if len(slot) != SLOT_BYTES:
        return None
    length, checksum = _PREFIX.unpack_from(slot)
    text = slot[_PREFIX.size : _PREFIX.size + length]
    if len(text) != length or zlib.crc32(text) != checksum:
        return None
    try:
        return msgspec.json.decode(text, type=VolumeRecord)
    except msgspec.MsgspecError:
        return None
