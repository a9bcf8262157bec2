"""Files that are whole, whatever stops a write."""

import resource
import signal

import pytest

from adql.files import append_lines, write_atomically


@pytest.fixture
def room():
    """Bounds every file to so many bytes, as a full disk would: what fits is written, the rest is refused."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("size", [6, 8, 11])
def test_line_that_does_not_fit_leaves_the_file_as_it_was(tmp_path, room, size):
    path = tmp_path / "lines"
    append_lines(path, "first\n")
    room(size)
    with pytest.raises(OSError, match=r"No space left|File too large"):
        append_lines(path, "second\n")
    room(100)
    append_lines(path, "third\n")
    assert path.read_text() == "first\nthird\n"


def test_file_that_cannot_be_replaced_is_still_there_and_nothing_else(tmp_path, room):
    path = tmp_path / "file"
    write_atomically(path, b"old")
    room(4)
    with pytest.raises(OSError, match=r"No space left|File too large"):
        write_atomically(path, b"longer", b" than there is room")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("file", b"old")]
