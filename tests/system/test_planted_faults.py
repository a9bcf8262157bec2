"""The exactly-once test is itself tested: each fault, planted in a copy of the code, must turn it red."""

import subprocess
from pathlib import Path

import pytest

from tests.planting import Bug, copied, plant, run_tests

SERVICE = "services/adql_services/parameter_server"
LIBRARY = "libs/adql"

FAULTS = {
    "durable answers before the commit": (
        f"{SERVICE}/app.py",
        "        if query.durable:\n            await service.until_durable",
        "        if False:\n            await service.until_durable",
    ),
    "watermark at the newest version": (f"{SERVICE}/service.py", "machine.durable,", "machine.version,"),
    "no duplicate check": (
        f"{LIBRARY}/parameters/server.py",
        "if recorded is not None:",
        "if recorded is not None and recorded.kind != 'applied':",
    ),
    "gaps are accepted": (f"{LIBRARY}/parameters/sessions.py", "if sequence > last + 1:", "if sequence > 10**9:"),
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
}

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

BY_STORE = {"no duplicate check"}
"""Faults that show when the store is killed; the others show when the server is."""


def run_exactly_once(directory: Path, cycles: int, killed: str) -> subprocess.CompletedProcess[str]:
    """Runs the test of the copy in ``directory`` that kills the ``killed``: server or store."""
    chosen = ("tests/system/test_exactly_once.py", "-k", f"kill_9_of_the_{killed}")
    return run_tests(directory, *chosen, environ={"ADQL_TEST_CYCLES": str(cycles)})


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_fault_turns_the_test_red(tmp_path, fault):
    killed = "store" if fault in BY_STORE else "server"
    copy = copied(tmp_path / "copy")
    plant(copy, Bug(*FAULTS[fault]))
    for cycles in (4, 16):  # on a busy machine the first kills may find nothing under way
        outcome = run_exactly_once(copy, cycles=cycles, killed=killed)
        if outcome.returncode == 1:
            break
    assert outcome.returncode == 1, outcome.stdout[-2_000:] + outcome.stderr[-2_000:]
    assert "1 failed" in outcome.stdout


def test_unchanged_copy_is_green(tmp_path):
    outcome = run_exactly_once(copied(tmp_path / "copy"), cycles=2, killed="server")
    assert outcome.returncode == 0, outcome.stdout[-2_000:]
