"""The exactly-once test is itself tested: each fault, planted in a copy of the code, must turn it red."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVICE = "services/adql_services/parameter_server"
LIBRARY = "libs/adql"

FAULTS = {
    "durable answers before the commit": (
        f"{SERVICE}/service.py",
        "        if durable:\n            await self._until_durable",
        "        if False:\n            await self._until_durable",
    ),
    "watermark at the newest version": (f"{SERVICE}/service.py", "machine.durable,", "machine.version,"),
    "no duplicate check": (
        f"{LIBRARY}/parameters/server.py",
        "if recorded is not None:",
        "if recorded is not None and recorded.kind != 'applied':",
    ),
    "gaps are accepted": (f"{LIBRARY}/parameters/sessions.py", "if sequence > last + 1:", "if sequence > 10**9:"),
    "durable updates are sent again": (
        f"{LIBRARY}/wire/delivery.py",
        "        self._held.drop_up_to(durable)\n        self.next_sequence = last + 1\n"
        "        lost = self._held.take_after(last)",
        "        self.next_sequence = last + 1\n        lost = self._held.take_after(-1)",
    ),
    "nothing is sent again": (
        f"{LIBRARY}/wire/delivery.py",
        "lost = self._held.take_after(last)",
        "lost = self._held.take_after(last)[:0]",
    ),
    "sessions are not committed": (
        f"{LIBRARY}/parameters/server.py",
        "self.sessions.load(record.sessions)",
        "self.sessions.load(type(record.sessions)())",
    ),
    "published vector is written": (
        f"{LIBRARY}/parameters/server.py",
        "result = self._pool.spare()",
        "result = self._vector.view(); result = np.frombuffer(result.base, np.float32)",
    ),
}

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


def planted(directory: Path, file: str, right: str, wrong: str) -> Path:
    """Returns a copy of the code with one place changed."""
    for part in ("libs", "services", "tests"):
        shutil.copytree(ROOT / part, directory / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", directory)
    text = (directory / file).read_text()
    assert text.count(right) == 1, f"{file} no longer holds exactly once: {right}"
    (directory / file).write_text(text.replace(right, wrong))
    return directory


BY_STORE = {"no duplicate check"}
"""Faults that show when the store is killed; the others show when the server is."""


def run_exactly_once(directory: Path, cycles: int, killed: str) -> subprocess.CompletedProcess[str]:
    """Runs the test of ``directory`` against the code there."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(str(directory / part) for part in ("libs", "services", ".")),
        "PYTHONDONTWRITEBYTECODE": "1",
        "ADQL_TEST_CYCLES": str(cycles),
    }
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        "tests/system/test_exactly_once.py",
    ]
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_fault_turns_the_test_red(tmp_path, fault):
    killed = "store" if fault in BY_STORE else "server"
    outcome = run_exactly_once(planted(tmp_path / "copy", *FAULTS[fault]), cycles=4, killed=killed)
    assert outcome.returncode == 1, outcome.stdout[-2_000:] + outcome.stderr[-2_000:]
    assert "1 failed" in outcome.stdout


def test_unchanged_copy_is_green(tmp_path):
    file, right, _ = FAULTS["no duplicate check"]
    outcome = run_exactly_once(planted(tmp_path / "copy", file, right, right), cycles=2, killed="server")
    assert outcome.returncode == 0, outcome.stdout[-2_000:]
