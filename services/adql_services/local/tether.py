"""Commands that do not outlive who started them, and what they said last."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

_RUN_WITH_PARENT = """
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 15)
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Asks Linux for SIGTERM at the parent's end, then becomes the command; fork hooks are unsafe beside threads."""


def tethered(command: Sequence[str]) -> list[str]:
    """Returns ``command`` so that it gets SIGTERM when this process ends, also by kill -9, from its first moment on.

    On Linux it ends with the thread that starts it, too; elsewhere it is on its own. ``command[0]`` is a path.
    """
    return [sys.executable, "-I", "-S", "-c", _RUN_WITH_PARENT, str(os.getpid()), *command]


def last_line(log: Path, start: int = 0) -> str:
    """Returns the last line of a log file from byte ``start`` on."""
    lines = log.read_bytes()[start:].decode(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1] if lines else "no output"
