"""Plants one bug into a copy of the code and runs tests of the copy against it: a test of the tests."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]


class Bug(NamedTuple):
    """One place in the code, as it is and as it must not be."""

    file: str
    right: str
    wrong: str


def copied(directory: Path) -> Path:
    """Copies everything that the tests run on into ``directory``, which must not exist; returns it."""
    for part in ("libs", "services", "tests"):
        shutil.copytree(ROOT / part, directory / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", directory)
    return directory


def plant(directory: Path, bug: Bug) -> None:
    """Changes the one place in the copy; fails where the code no longer has it exactly once."""
    path = directory / bug.file
    text = path.read_text(encoding="utf-8")
    assert text.count(bug.right) == 1, f"{bug.file} no longer holds exactly once: {bug.right}"
    path.write_text(text.replace(bug.right, bug.wrong), encoding="utf-8")


def run_tests(
    directory: Path, *arguments: str, timeout_seconds: float = 120.0, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs pytest with ``arguments`` in the copy, on the copy's own code; exit code 1 means that a test failed."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(str(directory / part) for part in ("libs", "services", ".")),
        "PYTHONDONTWRITEBYTECODE": "1",
        **(environ or {}),
    }
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, timeout=timeout_seconds
    )
