"""Snapshots of a replay table on disk: whole or not at all, each byte under a CRC32C, no pickle.

A file is a row of segments: HEAD (JSON: columns, identity, ids, counters, sessions), FRAM (how many frames, their
numbers, their lengths and the compressed frames, each once) where observations are stacks, ROWS with ids upwards, PRIO
(float64, one a transition) where the table is prioritised, and an empty TAIL, which a file cut anywhere lacks.

The rows are copied while inserts go on. What is evicted before it was copied is left out: rows are written oldest
first, so a gap between two ROWS segments says that all before it had been evicted. The frames come before the rows: a
row that was not evicted by the time of its copy has held its frames all along.
"""

import json
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from adql.errors import CheckpointError, ForeignCheckpointError, MalformedBodyError
from adql.files import Opener, open_for_writing, remove_leftovers, write_whole
from adql.frames import FRAME, FRAME_BYTES, FrameCodec, joined, longest_packed, separated
from adql.replay.records import Columns, TableState
from adql.replay.ring import Frames
from adql.replay.schema import TransitionSchema
from adql.replay.segments import MAGIC, corrupt, read_segments, write_segment
from adql.replay.sessions import Chunk
from adql.replay.table import ReplayTable
from adql.types import OBSERVATIONS, ArraySpec, Float64Array

FRAME_NUMBER = np.dtype(np.int32)
FRAME_COUNT = struct.Struct("<I")
FIRST_ID = struct.Struct("<Q")
ROWS_BYTES = 4 * 1024**2
"""Payload of one ROWS or FRAM segment, about: what is copied from the table at a time."""
KEPT = 2
"""Whole snapshots on disk: the newest, and one to fall back on."""
SUFFIX = ".snapshot"
NAME = re.compile(r"[0-9]{20}" + re.escape(SUFFIX))


class Snapshots:
    """The snapshots of one table in one directory, numbered upwards.

    ``identity`` names the run and its configuration; files of another one are refused. ``open_file`` is a seam for
    tests that stop a write in the middle.
    """

    def __init__(self, directory: Path, identity: str, *, open_file: Opener = open_for_writing) -> None:
        self._directory, self._identity, self._open_file = directory, identity, open_file
        self._passed_over: set[Path] = set()

    def files(self) -> list[Path]:
        """Returns the snapshots, the newest first; files with other names than this class gives are left alone."""
        found = (path for path in self._directory.iterdir() if NAME.fullmatch(path.name) and path.is_file())
        return sorted(found, reverse=True)

    def newest(self) -> Path | None:
        """Returns the snapshot that a restart would begin with, as far as is known; None if there is none."""
        return next((path for path in self.files() if path not in self._passed_over), None)

    def write(self, table: ReplayTable, state: TableState) -> int:
        """Writes ``table`` as it was at ``state``, atomically and durably, and returns the bytes of the file.

        May run in another thread than the table's, one at a time. The oldest beyond KEPT whole ones are removed
        afterwards, and those that ``restore`` passed over.

        Raises:
            OSError: disk full or its like; the earlier snapshots stand, the half-written file is gone.
        """
        files = self.files()
        path = self._directory / f"{int(files[0].stem) + 1 if files else 0:020d}{SUFFIX}"
        write_whole(path, lambda file: self._write_segments(file, table, state), self._open_file)
        for old in [file for file in self.files() if file not in self._passed_over][KEPT:]:
            old.unlink()
        while self._passed_over:
            self._passed_over.pop().unlink(missing_ok=True)
        return path.stat().st_size

    def restore(self, table: ReplayTable) -> list[CheckpointError]:
        """Fills the empty ``table`` from the newest snapshot that is whole; with none it stays empty.

        Returns the errors of the files that were passed over because they are corrupt or cannot be read; each says
        what is used in their place.

        Raises:
            ForeignCheckpointError: a snapshot of another run, configuration or release lies here; nothing was restored.
        """
        remove_leftovers(self._directory)
        refused, used = [], None
        for path in self.files():
            try:
                state = self._verified_state(path, table.schema)
            except ForeignCheckpointError:
                raise
            except CheckpointError as error:
                refused.append(error)
                self._passed_over.add(path)
                continue
            table.restore(state, _rows(path, table.schema), _frames(path, table.schema))
            used = path
            break
        instead = f"{used} is used" if used else "no other one is whole, so the table begins empty"
        return [CheckpointError(f"{error}; {instead}") for error in refused]

    def next_incarnation(self, first: int) -> int:
        """Returns the incarnation of a table that starts now, durably noted: the last one + 1, or ``first``."""
        path = self._directory / "incarnation"
        try:
            incarnation = int(path.read_text()) + 1
        except (FileNotFoundError, ValueError):
            incarnation = first
        write_whole(path, lambda file: file.write(str(incarnation).encode()), self._open_file)
        return incarnation

    def _write_segments(self, file: BinaryIO, table: ReplayTable, state: TableState) -> None:
        file.write(MAGIC)
        write_segment(file, b"HEAD", json.dumps(_head(state, table.schema, self._identity)).encode())
        if table.schema.frame is not None:
            _write_frames(file, table, table.schema.frame)
        step = max(1, ROWS_BYTES // table.schema.row_bytes)
        for first in range(state.oldest, state.next_id, step):
            kept, columns = table.read_rows(first, min(first + step, state.next_id))
            write_segment(file, b"ROWS", FIRST_ID.pack(kept), *(column.tobytes() for column in columns.values()))
        if state.priorities is not None:
            write_segment(file, b"PRIO", state.priorities.tobytes())
        write_segment(file, b"TAIL")

    def _verified_state(self, path: Path, schema: TransitionSchema) -> TableState:
        """Reads the whole file once; only what this returns for may be loaded."""
        try:
            return self._read_state(path, schema)
        except (ValueError, LookupError, TypeError, AttributeError, struct.error, MalformedBodyError) as error:
            reason = f"its checksums hold and its content is another one ({type(error).__name__})"
            raise corrupt(path, reason) from None
        except OSError as error:
            raise corrupt(path, f"it cannot be read: {error.strerror}") from None

    def _read_state(self, path: Path, schema: TransitionSchema) -> TableState:
        segments = read_segments(path)
        kind, payload = next(segments, (b"", b""))
        if kind != b"HEAD":
            raise corrupt(path, "it does not begin with its head")
        head = json.loads(payload)
        self._check_foreign(path, head, schema)
        oldest, following, priorities = int(head["oldest"]), int(head["oldest"]), None
        frames: set[int] = set()
        codec = None if schema.frame is None else FrameCodec(schema.frame)
        for kind, payload in segments:
            if kind == b"ROWS":
                _check_frames(path, _columns(payload, schema), frames, schema)
                first, rows = FIRST_ID.unpack_from(payload)[0], _row_count(payload, schema)
                oldest = oldest if first == following else first
                following = first + rows
            elif kind == b"FRAM" and codec is not None:
                frames = _joined(path, frames, payload, codec)
            elif kind == b"PRIO":
                priorities = np.frombuffer(payload)[oldest - head["oldest"] :]
        return _state(head, oldest, priorities)

    def _check_foreign(self, path: Path, head: dict[str, Any], schema: TransitionSchema) -> None:
        if head["identity"] != self._identity or head["columns"] != _layout(schema):
            raise ForeignCheckpointError(
                f"{path} is a replay snapshot of another run or configuration; take the old values, delete the file, "
                "or start another run: another run.name and ADQL_DIRECTORY (under docker compose another ADQL_RUN, "
                "in the chart's values another run.run.name)"
            )


def _write_frames(file: BinaryIO, table: ReplayTable, frame: ArraySpec) -> None:
    numbers, step = table.frame_numbers(), max(1, ROWS_BYTES // longest_packed(frame))
    for first in range(0, len(numbers), step):
        part = numbers[first : first + step]
        kept = {number: f for number, f in zip(part.tolist(), table.read_frames(part), strict=True) if f is not None}
        arrays = joined(kept.values())
        names, lengths, contents = np.array(list(kept), FRAME_NUMBER), arrays[FRAME_BYTES], arrays[FRAME]
        write_segment(
            file, b"FRAM", FRAME_COUNT.pack(len(kept)), names.tobytes(), lengths.tobytes(), contents.tobytes()
        )


def _numbered(payload: bytes) -> tuple[list[int], list[bytes]]:
    """Returns the numbers and the frames of a FRAM segment."""
    (count,), start, size = FRAME_COUNT.unpack_from(payload), FRAME_COUNT.size, FRAME_NUMBER.itemsize
    numbers, lengths = np.frombuffer(payload, FRAME_NUMBER, 2 * count, start).reshape(2, count)
    contents = np.frombuffer(payload, np.uint8, offset=start + 2 * count * size)
    return numbers.tolist(), separated({FRAME_BYTES: lengths, FRAME: contents})


def _joined(path: Path, before: set[int], payload: bytes, codec: FrameCodec) -> set[int]:
    """Returns the numbers ``before`` and those of a FRAM segment, whose frames are frames."""
    numbers, frames = _numbered(payload)
    for frame in frames:
        codec.check(frame)
    after = before.union(numbers)
    if len(after) < len(before) + len(numbers):
        raise corrupt(path, "it has a frame twice")
    return after


def _check_frames(path: Path, rows: Columns, frames: set[int], schema: TransitionSchema) -> None:
    if schema.frame is None:
        return
    if not all(frames.issuperset(rows[name].ravel().tolist()) for name in OBSERVATIONS):
        raise corrupt(path, "a transition names a frame that is not in it")


def _head(state: TableState, schema: TransitionSchema, identity: str) -> dict[str, Any]:
    return {
        "identity": identity,
        "columns": _layout(schema),
        "incarnation": state.incarnation,
        "oldest": state.oldest,
        "next_id": state.next_id,
        "inserts": state.inserts,
        "samples": state.samples,
        "chunks": {session: list(chunk) for session, chunk in state.chunks.items()},
    }


def _layout(schema: TransitionSchema) -> list[list[Any]]:
    return [[array.name, array.dtype, list(array.shape)] for array in schema.arrays]


def _state(head: dict[str, Any], oldest: int, priorities: Float64Array | None) -> TableState:
    return TableState(
        incarnation=head["incarnation"],
        oldest=oldest,
        next_id=head["next_id"],
        inserts=head["inserts"],
        samples=head["samples"],
        chunks={session: Chunk(*chunk) for session, chunk in head["chunks"].items()},
        priorities=priorities,
    )


def _row_count(payload: bytes, schema: TransitionSchema) -> int:
    return (len(payload) - FIRST_ID.size) // schema.row_bytes


def _rows(path: Path, schema: TransitionSchema) -> Iterator[tuple[int, Columns]]:
    for kind, payload in read_segments(path):
        if kind == b"ROWS":
            yield FIRST_ID.unpack_from(payload)[0], _columns(payload, schema)


def _columns(payload: bytes, schema: TransitionSchema) -> Columns:
    columns, offset, rows = {}, FIRST_ID.size, _row_count(payload, schema)
    for column in schema.columns:
        values = np.frombuffer(payload, column.dtype, rows * column.size, offset)
        columns[column.name] = values.reshape(rows, *column.shape)
        offset += values.nbytes
    return columns


def _frames(path: Path, schema: TransitionSchema) -> Frames:
    if schema.frame is None:
        return
    for kind, payload in read_segments(path):
        if kind == b"FRAM":
            yield _numbered(payload)
