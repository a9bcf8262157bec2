"""Files that are wholly there or not there at all, and locks that end with their process, whatever dies."""

import errno
import fcntl
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

Opener = Callable[[Path], BinaryIO]
PROBE_BYTES = 8_192
"""As many as a new watermark has: of a full disk an empty file says nothing."""


def open_for_writing(path: Path) -> BinaryIO:
    """Opens ``path`` anew."""
    return path.open("wb")


def write_atomically(path: Path, *chunks: bytes | memoryview) -> None:
    """Replaces ``path`` by ``chunks``; see ``write_whole``."""
    write_whole(path, lambda file: file.writelines(chunks))


def write_whole(path: Path, write: Callable[[BinaryIO], object], open_file: Opener = open_for_writing) -> None:
    """Replaces ``path``: a temporary file beside it is written, synced and renamed, then the directory is synced.

    Not for one path in two threads at once. ``open_file`` is a seam for tests that stop a write in the middle.

    Raises:
        OSError: the old file is still there and the temporary one is gone.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open_file(temporary) as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_directory(path.parent)


def check_writable(directory: Path) -> None:
    """Writes and syncs a file without a name in ``directory``.

    Only who writes finds out about rights, a file system that is read-only now, quotas, inodes and bytes.

    Raises:
        OSError: it cannot be written; names it.
    """
    try:
        with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
            file.write(bytes(PROBE_BYTES))
            os.fsync(file.fileno())
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(directory)) from None


def append_lines(path: Path, lines: str, *, sync: bool = True) -> None:
    """Appends whole lines and syncs them, unless a power cut may cost them.

    Raises:
        OSError: the file is as it was.
    """
    content = lines.encode()
    with path.open("ab", buffering=0) as file:
        before = file.tell()
        try:
            if file.write(content) < len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if sync:
                os.fsync(file.fileno())
        except OSError:
            file.truncate(before)  # the next line must not go on where this one was torn
            raise


def read_rows(path: Path) -> list[dict[str, str]]:
    """Returns the lines of a CSV file by its header's names; nothing is quoted in it, and a torn line is left out.

    Raises:
        OSError: it is there and cannot be read.
    """
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    header, *lines = [line.split(",") for line in text.splitlines()] or [[]]
    return [dict(zip(header, line, strict=True)) for line in lines if len(line) == len(header)]


def hold_lock(file: Path, flags: int = os.O_CREAT) -> int | None:
    """Locks ``file`` until its descriptor is closed or the process has ended, however it ends.

    Returns:
        The descriptor; None if another process holds the lock.

    Raises:
        OSError: the file cannot be written, or it or its folder was removed meanwhile.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_NOFOLLOW | flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), file.stat()):
            return descriptor
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), file)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        os.close(descriptor)
        raise


def sync_directory(directory: Path) -> None:
    """Makes created, renamed and removed names survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(directory: Path) -> None:
    """Removes temporary files of processes that died while writing."""
    for leftover in directory.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)
