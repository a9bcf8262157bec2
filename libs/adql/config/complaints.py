"""What is wrong with a setting, in words for the person who typed it."""

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel

MOST_NEAR = 2
LEAST_LIKENESS = 0.8
LEAST_LIKENESS_OF_SECTIONS = 0.6
"""Lower: there are few of them."""


def complaint(kind: type[BaseModel], error: Mapping[str, Any], name: str) -> str:
    """Returns one pydantic ``error`` about the setting ``name`` of ``kind``."""
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        key = ".".join(map(str, error["loc"]))
        near = near_sections(kind, error["loc"]) if isinstance(error["input"], Mapping) else []
        near = near or near_keys(kind, key)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        return f"{name}: unknown key; {hint}known here: {', '.join(_siblings(kind, error['loc']))}"
    if error["type"] == "value_error":
        return f"{name}: {message}" if name else message
    if error["type"] == "tuple_type":
        message = f"must be a list: [{error['input']}]"
    if error["type"] in ("model_type", "model_attributes_type"):
        message = "must be a mapping of keys, {key: value}, or a number where it is a schedule"
    return f"{name}={_shown(error['input'])}: {message}"


def near_keys(kind: type[BaseModel], key: str) -> list[str]:
    """Returns whole keys of ``kind`` that are like ``key``, or end in its last name, nearest first."""
    keys = all_keys(kind)
    last = key.rpartition(".")[2]
    same = [other for other in keys if other.rpartition(".")[2] == last]
    alike = difflib.get_close_matches(key, keys, n=MOST_NEAR, cutoff=LEAST_LIKENESS)
    names = difflib.get_close_matches(last, {other.rpartition(".")[2] for other in keys}, n=1, cutoff=LEAST_LIKENESS)
    named = [other for other in keys if other.rpartition(".")[2] in names]
    return list(dict.fromkeys([*alike, *same] or named))[:MOST_NEAR]


def near_sections(kind: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    """Returns the whole key of the section of ``kind`` that is most like the one at ``location``, if any is."""
    *above, last = map(str, location)
    for part in above:
        kind = _section(kind, part) or kind
    sections = [name for name in kind.model_fields if _section(kind, name)]
    near = difflib.get_close_matches(last, sections, n=1, cutoff=LEAST_LIKENESS_OF_SECTIONS)
    return [".".join([*above, name]) for name in near]


def all_keys(kind: type[BaseModel], prefix: str = "") -> list[str]:
    """Returns the whole keys of ``kind``."""
    found: list[str] = []
    for name in kind.model_fields:
        section = _section(kind, name)
        found += all_keys(section, f"{prefix}{name}.") if section else [f"{prefix}{name}"]
    return found


def with_variables(text: str, variables: Mapping[str, str]) -> str:
    """Adds to ``text`` which variable set each key that it mentions; ``variables`` has them by key."""
    said = [
        f"{key} is set by {variable}"
        for key, variable in variables.items()
        if re.search(rf"(?<![\w.]){re.escape(key)}(?!\w)", text)
    ]
    return f"{text} ({', '.join(said)})" if said else text


def _siblings(kind: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    for part in location[:-1]:
        kind = _section(kind, str(part)) or kind
    return sorted(kind.model_fields)


def _section(kind: type[BaseModel], key: str) -> type[BaseModel] | None:
    annotation = kind.model_fields[key].annotation
    sections = (annotation, *get_args(annotation))
    return next((s for s in sections if isinstance(s, type) and issubclass(s, BaseModel)), None)


def _shown(value: object) -> str:
    try:
        return shorten(repr(value))
    except ValueError:  # Python does not write such numbers
        return "a number of more than 4,300 digits"


def shorten(text: str, most: int = 80) -> str:
    """Returns ``text``, without its end where it is longer than ``most`` characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
