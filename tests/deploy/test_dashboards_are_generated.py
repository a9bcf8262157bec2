"""Dashboards and alert rules lie in the chart as the code makes them."""

import pytest

from tools.dashboards.__main__ import ROOT, files, main

GENERATED = files()


@pytest.mark.parametrize("path", GENERATED, ids=str)
def test_generated_file_is_what_the_code_makes_now(path):
    there = (ROOT / path).read_text(encoding="utf-8")
    assert there == GENERATED[path], f"{path} is out of date: run `make generate` and commit what it writes"


def test_nothing_else_lies_among_the_generated_files():
    folders = {(ROOT / path).parent for path in GENERATED}
    assert {file.relative_to(ROOT) for folder in folders for file in folder.iterdir()} == set(GENERATED)


def test_generating_writes_files_that_were_changed_by_hand_anew(tmp_path, monkeypatch):
    monkeypatch.setattr("tools.dashboards.__main__.ROOT", tmp_path)
    assert main() == 0
    (edited := tmp_path / "charts/adql/dashboards/fleet.json").write_text("{}")
    assert main() == 0
    assert edited.read_text(encoding="utf-8") == GENERATED[edited.relative_to(tmp_path)]
