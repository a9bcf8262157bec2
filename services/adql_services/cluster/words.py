"""The one line of a log that says what is wrong."""

import json

from adql_services.runtime.failure import PREFIX

LEVELS = ("warning", "error", "critical")


def last_words(log: str) -> str:
    """Returns the newest line that complains, else the newest of all; empty where nothing was said."""
    lines = [line for line in map(_read, log.splitlines()) if line[1]]
    complaints = [text for complains, text in lines if complains]
    return (complaints or [text for _, text in lines] or [""])[-1]


def _read(line: str) -> tuple[bool, str]:
    """Returns whether ``line`` complains, and what it says."""
    line = line.strip()
    if line.startswith(PREFIX):
        return True, line.removeprefix(PREFIX)
    try:
        entry = json.loads(line)
    except ValueError:
        return any(f"[{level}" in line for level in LEVELS), " ".join(line.split())
    if not isinstance(entry, dict):
        return False, line
    said = [str(entry[key]) for key in ("event", "error", "reason", "hint") if entry.get(key)]
    return entry.get("level") in LEVELS, "; ".join(said)
