"""Copies of the chart, to be changed: with another file, or with a bug."""

import shutil
from pathlib import Path

from tests.deploy.rendering import CHART


def copied(directory: Path, **files: str) -> Path:
    """Copies the chart into ``directory`` with ``files`` in it, ``__`` for a slash and ``_`` before the ending."""
    chart = directory / "adql"
    shutil.copytree(CHART, chart)
    for name, text in files.items():
        path = chart / ".".join(name.replace("__", "/").rsplit("_", 1))
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return chart


def with_bug(directory: Path, file: str, right: str, wrong: str) -> Path:
    """Copies the chart and changes the one place in ``file``; fails where it does not hold ``right`` exactly once."""
    chart = copied(directory)
    path = chart / file
    text = path.read_text(encoding="utf-8")
    assert text.count(right) == 1, f"{file} no longer holds exactly once: {right}"
    path.write_text(text.replace(right, wrong), encoding="utf-8")
    return chart
