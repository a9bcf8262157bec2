import os
import random
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from adql.errors import CheckpointError
from adql.parameters.checkpoints import INDEX, Checkpoints, read_checkpoint
from tests.parameters.servers import commit, owning_server, push_many, tiny_specification

WRITE_FOR_EVER = """
import sys
from pathlib import Path
from adql.parameters.checkpoints import Checkpoints
from tests.parameters.servers import commit, owning_server, push_many
server, checkpoints = owning_server(), Checkpoints(Path(sys.argv[1]))
session = server.register("both").identifier
checkpoints.write(commit(server))
print("ready", flush=True)
while True:
    push_many(server, session, 1)
    checkpoints.write(commit(server))
"""


@pytest.fixture
def server():
    return owning_server(tiny_specification(update={"rule": "gradient"}))


@pytest.fixture
def session(server):
    return server.register("both").identifier


def test_checkpoint_holds_the_whole_state(tmp_path, server, session):
    push_many(server, session, 3)
    state = commit(server)
    read = read_checkpoint(Checkpoints(tmp_path).write(state))
    assert (read.mark, read.record) == (state.mark, state.record)
    np.testing.assert_array_equal(read.parameters, state.parameters)
    for name, array in state.arrays.items():
        np.testing.assert_array_equal(read.arrays[name], array)


def test_the_newest_three_are_kept(tmp_path, server, session):
    checkpoints = Checkpoints(tmp_path)
    for _ in range(5):
        push_many(server, session, 1)
        checkpoints.write(commit(server))
    assert [entry.version for entry in checkpoints.entries()] == [3, 4, 5]
    assert len(list(tmp_path.glob("*.safetensors"))) == 3


def test_damaged_checkpoint_is_passed_over(tmp_path, server, session):
    checkpoints = Checkpoints(tmp_path)
    for _ in range(2):
        push_many(server, session, 1)
        newest = checkpoints.write(commit(server))
    blob = bytearray(newest.read_bytes())
    blob[-1] ^= 1
    newest.write_bytes(blob)
    assert checkpoints.read_newest().mark.number == 1


@pytest.mark.parametrize("content", [b"", b"[{", b"{}", b"\xff\xfe"])
def test_damaged_manifest_is_put_aside_and_made_again_from_the_whole_files(tmp_path, server, session, content):
    checkpoints = Checkpoints(tmp_path)
    paths = []
    for _ in range(3):
        push_many(server, session, 1)
        paths.append(checkpoints.write(commit(server)))
    blob = bytearray(paths[-1].read_bytes())
    blob[-1] ^= 1
    paths[-1].write_bytes(blob)
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(CheckpointError, match="is damaged"):
        checkpoints.entries()
    assert (tmp_path / "manifest.json").read_bytes() == content
    assert checkpoints.read_newest().mark.number == 2
    assert (tmp_path / "manifest.json.damaged").read_bytes() == content
    push_many(server, session, 1)
    checkpoints.write(commit(server))
    assert [entry.version for entry in checkpoints.entries()] == [1, 2, 4]


@pytest.mark.parametrize("content", [b"", b"\x80\x04cos\nsystem\n.", b"\xff" * 64])
def test_foreign_file_is_refused(tmp_path, content):
    (tmp_path / "file.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError):
        read_checkpoint(tmp_path / "file.safetensors")


def test_copy_beside_a_damaged_index_does_not_hide_the_checkpoints(tmp_path, server):
    checkpoints, state = Checkpoints(tmp_path), commit(server)
    shutil.copy(checkpoints.write(state), tmp_path / "copy.safetensors")
    (tmp_path / INDEX).write_bytes(b"{")
    assert checkpoints.read_newest().mark == state.mark


def test_index_that_is_gone_is_made_again_from_the_checkpoints(tmp_path, server):
    checkpoints, state = Checkpoints(tmp_path), commit(server)
    checkpoints.write(state)
    (tmp_path / INDEX).unlink()
    assert checkpoints.read_newest().mark == state.mark
    assert [entry.file for entry in checkpoints.entries()] == [checkpoints.path_of(state.mark).name]


def test_directory_that_was_deleted_is_made_again(tmp_path, server):
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    checkpoints.write(commit(server))
    shutil.rmtree(tmp_path / "checkpoints")
    checkpoints.write(commit(server))
    assert checkpoints.read_newest().mark.number == 0


def test_empty_directory_names_the_way_out(tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint"):
        Checkpoints(tmp_path).read_newest()


def test_full_disk_keeps_the_older_checkpoint_and_no_leftover(tmp_path, server, session, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.write(commit(server))
    push_many(server, session, 1)
    monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(OSError, match="No space"):
        checkpoints.write(commit(server))
    assert checkpoints.read_newest().mark.number == 0
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.system
def test_kill_at_any_moment_leaves_a_checkpoint_that_can_be_read(tmp_path):
    rng = random.Random(0)
    for _ in range(8):
        writer = subprocess.Popen([sys.executable, "-c", WRITE_FOR_EVER, str(tmp_path)], stdout=subprocess.PIPE)
        writer.stdout.readline()
        try:
            writer.wait(rng.uniform(0.0, 0.1))
        except subprocess.TimeoutExpired:
            writer.send_signal(signal.SIGKILL)
        assert writer.wait() == -signal.SIGKILL
        writer.stdout.close()
        state = Checkpoints(tmp_path).read_newest()
        assert state.parameters[0] == state.mark.number
