"""Presets are whole run specifications: each is read, and its comment is the command that trains it."""

from pathlib import Path

import pytest

from adql.config import load_specification

ROOT = Path(__file__).parents[2]
PRESETS = sorted((ROOT / "presets").iterdir())


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_preset_is_read_and_names_its_own_command(path):
    specification = load_specification(path, [], {})
    first, *_ = path.read_text(encoding="utf-8").splitlines()
    assert first.startswith(f"# {specification.environment.id}")
    assert first.endswith(f": adql train presets/{path.name}")


def test_there_are_presets():
    assert PRESETS
