"""Files that are wholly there or not there at all, whatever dies."""

import os
from collections.abc import Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from adql.errors import CheckpointError
from adql.types import Array

Bytes = bytes | memoryview


def write_atomically(path: Path, *chunks: Bytes) -> None:
    """Replaces ``path``: a temporary file beside it is written, synced and renamed, then the directory is synced.

    Raises:
        OSError: the old file is still there and the temporary one is gone.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.writelines(chunks)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def append_line(path: Path, line: str) -> None:
    """Appends one line and syncs it."""
    with path.open("ab") as file:
        file.write(line.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def sync_directory(directory: Path) -> None:
    """Makes created, renamed and removed names survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(directory: Path) -> None:
    """Removes temporary files of processes that died while writing."""
    for leftover in directory.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)


def write_tensors(path: Path, arrays: dict[str, Array], metadata: dict[str, str]) -> bytes:
    """Writes a safetensors file and returns its bytes."""
    blob = save(arrays, metadata)
    write_atomically(path, blob)
    return blob


def read_tensors(path: Path, names: Sequence[str] | None = None) -> tuple[dict[str, Array], dict[str, str]]:
    """Returns arrays (all, or those of ``names``) and metadata of a safetensors file.

    Raises:
        CheckpointError: missing, torn, damaged, or without one of ``names``.
    """
    try:
        with safe_open(path, framework="np") as file:
            wanted = list(file.keys()) if names is None else names
            return {name: file.get_tensor(name) for name in wanted}, dict(file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}; name another file") from None
