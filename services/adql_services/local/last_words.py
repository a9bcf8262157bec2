"""What a process said last."""

from pathlib import Path


def last_line(log: Path, start: int = 0) -> str:
    """Returns the last line of a log file from byte ``start`` on."""
    lines = log.read_bytes()[start:].decode(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1] if lines else "no output"
