"""What a container says of its volume when it is asked from inside."""

import errno
import json
import os
from pathlib import Path

import pytest

from adql.files import check_writable
from adql_services.cli import main
from adql_services.runtime.room import room


def test_volume_that_can_be_written_has_no_trouble_and_keeps_nothing_of_the_question(tmp_path):
    told = room(tmp_path, check_writable)
    assert 0 < told["free_bytes"] <= told["bytes"] and told["trouble"] == ""
    assert list(tmp_path.iterdir()) == []


def test_volume_that_is_not_there_says_so(tmp_path):
    assert room(tmp_path / "gone", check_writable) == {
        "bytes": 0,
        "free_bytes": 0,
        "trouble": "No such file or directory",
    }


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EDQUOT])
def test_volume_that_refuses_a_write_still_tells_its_size(tmp_path, code):
    def refuse(directory: Path) -> None:
        raise OSError(code, os.strerror(code))

    told = room(tmp_path, refuse)
    assert told["bytes"] > 0 and told["trouble"] == os.strerror(code)


def test_word_that_kubectl_exec_types_prints_it_as_json(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ADQL_DIRECTORY", str(tmp_path))
    assert main(["pod", "room"]) == 0
    assert json.loads(capsys.readouterr().out)["trouble"] == ""
