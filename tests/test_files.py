"""Files that are whole, whatever stops a write."""

import errno
import fcntl
import os
import subprocess
import sys

import pytest

from adql.files import append_lines, check_writable, hold_lock, write_atomically

HOLDER = """
import sys
from pathlib import Path
from adql.files import hold_lock
hold_lock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""
LIMITED = """
import resource, signal, sys
from pathlib import Path
from adql.files import append_lines, write_atomically

def room(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

path, size = Path(sys.argv[1]), int(sys.argv[2])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
room(size)
try:
    {write}
except OSError:
    room(resource.RLIM_INFINITY)
    {after}
    sys.exit(0)
sys.exit("it fitted")
"""


def with_room(path, size: int, write: str, after: str = "pass") -> None:
    """Runs ``write`` where no file may have more than ``size`` bytes, as on a full disk: what fits is written."""
    program = LIMITED.format(write=write, after=after)
    done = subprocess.run(
        [sys.executable, "-c", program, path, str(size)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("size", [6, 8, 11])
def test_line_that_does_not_fit_leaves_the_file_as_it_was(tmp_path, size):
    path = tmp_path / "lines"
    append_lines(path, "first\n")
    with_room(path, size, r"append_lines(path, 'second\n')", r"append_lines(path, 'third\n')")
    assert path.read_text() == "first\nthird\n"


def test_file_that_cannot_be_replaced_is_still_there_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, b"old")
    with_room(path, 4, "write_atomically(path, b'longer', b' than there is room')")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("file", b"old")]


def test_lock_is_held_by_one_process_and_free_once_it_was_killed(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout.readline() == b"held\n"
        assert hold_lock(tmp_path / "lock") is None
        holder.kill()
    assert hold_lock(tmp_path / "lock") is not None


def test_file_that_was_removed_before_it_was_locked_is_no_lock(tmp_path, monkeypatch):
    lock, flock = tmp_path / "lock", fcntl.flock

    def remove_first(descriptor, operation):
        lock.unlink()
        lock.touch()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", remove_first)
    with pytest.raises(FileNotFoundError):
        hold_lock(lock)


def test_folder_is_tried_by_a_write_that_is_synced_and_leaves_nothing(tmp_path, monkeypatch):
    check_writable(tmp_path)
    assert list(tmp_path.iterdir()) == []

    def fails(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match=f"No space left on device: '{tmp_path}'"):
        check_writable(tmp_path)
    assert list(tmp_path.iterdir()) == []
