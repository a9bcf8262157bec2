"""Debian's Prometheus and promtool, which the tests of dashboards and alerts need."""

import shutil
import subprocess


def program(name: str) -> str:
    """Returns where ``prometheus`` or ``promtool`` is, or says in one line what to install."""
    found = shutil.which(name)
    assert found, f"{name} is not installed; install Prometheus: apt-get install prometheus"
    return found


def promtool(*arguments: str, given: str | None = None) -> str:
    """Runs promtool; returns what it says, and fails with that if it finds fault."""
    done = subprocess.run(
        [program("promtool"), *arguments], input=given, capture_output=True, text=True, timeout=30, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said
