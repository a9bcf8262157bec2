"""The one line of a log that says what is wrong."""

import json
import re

from adql_services.runtime.failure import PREFIX

LEVELS = ("warning", "error", "critical")
_SETTLED = re.compile(r"(?:found the|went on|listening|registered|writes to the volume again)\b")
"""How a line begins after which what was complained of before is no longer so."""
_TEXT = re.compile(r"\[(?P<level>\w+) *\] *(?P<event>.*)")
"""What a line for people has behind its time."""


def complaint(log: str) -> str:
    """Returns the newest line that complains, and is not settled since; empty where none is."""
    return _newest(log)[0]


def last_words(log: str) -> str:
    """Returns the complaint of ``log``, else the newest line of all; empty where nothing was said."""
    found, said = _newest(log)
    return found or said


def _newest(log: str) -> tuple[str, str]:
    """Returns the newest complaint and the newest line."""
    said = found = ""
    for line in log.splitlines():
        complains, settles, text = _read(line.strip())
        said = text or said
        if complains or settles:
            found = text if complains else ""
    return found, said


def _read(line: str) -> tuple[bool, bool, str]:
    """Returns whether ``line`` complains, whether it settles what was complained of, and what it says."""
    if line.startswith(PREFIX):
        return True, False, line.removeprefix(PREFIX)
    try:
        entry = json.loads(line)
    except ValueError:
        found = _TEXT.search(line)
        level, event = found.group("level", "event") if found else ("", "")
        return level in LEVELS, bool(_SETTLED.match(event)), " ".join(line.split())
    if not isinstance(entry, dict):
        return False, False, line
    text = "; ".join(str(entry[key]) for key in ("event", "error", "reason", "hint") if entry.get(key))
    return entry.get("level") in LEVELS, bool(_SETTLED.match(text)), text
