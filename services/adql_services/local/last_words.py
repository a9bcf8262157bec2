"""What a process said last."""

from pathlib import Path


def last_line(log: Path, start: int = 0) -> str:
    """Returns the last line of a log file from byte ``start`` on."""
    lines = said_since(log, start).strip().splitlines()
    return lines[-1] if lines else "no output"


def said_since(log: Path, start: int) -> str:
    """Returns a log file from byte ``start`` on; nothing where there is no file."""
    return log.read_bytes()[start:].decode(errors="replace") if log.exists() else ""
