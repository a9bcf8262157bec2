"""What the Dockerfile says: layers of dependencies that neither a change of the code nor a new version replaces."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.rendering import ROOT

STAGES = dict(
    re.findall(r"^FROM \S+ AS (\S+)\n(.*?)(?=^FROM |\Z)", (ROOT / "docker/Dockerfile").read_text(), re.M | re.S)
)
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("stage", [name for name in STAGES if name.startswith("dependencies")])
def test_dependencies_are_installed_from_a_list_alone(stage: str):
    assert "pip" in STAGES[stage] and not re.search(r"pyproject|COPY (libs|services)", STAGES[stage])


def required(directory: Path, text: str, *extras: str) -> str:
    (directory / "pyproject.toml").write_text(text, encoding="utf-8")
    command = [sys.executable, str(ROOT / "docker/requirements.py"), *extras]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.mark.parametrize("extras", [(), ("kubernetes",), ("torch",)])
def test_new_version_leaves_the_lists_as_they_are(tmp_path, extras: tuple[str, ...]):
    assert f"python3 requirements.py {' '.join(extras)}".strip() in STAGES["requirements"]
    next_one = re.sub(r'^version = ".*"', 'version = "99.0.0"', PROJECT, flags=re.MULTILINE)
    assert next_one != PROJECT
    assert required(tmp_path, next_one, *extras) == required(tmp_path, PROJECT, *extras) != ""
