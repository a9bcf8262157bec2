"""The comments of a values file: what each key is for, in the order of the file.

``## @section TITLE`` begins a part, ``## @param KEY what it is for`` describes a key, and a line that begins with
``##`` and two more spaces goes on with the description above it. A mapping that is described as a whole needs no
comment on what it holds.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

Values = dict[str, Any]
_SECTION = re.compile(r"^\s*## @section (.+?)\s*$")
_PARAMETER = re.compile(r"^\s*## @param (\S+)\s+(.+?)\s*$")
_CONTINUED = re.compile(r"^\s*##\s{2,}(\S.*?)\s*$")


class ChartError(Exception):
    """The values, their comments and their constraints do not fit together."""


@dataclass(frozen=True)
class Parameter:
    """One key of the values, what it is for, and the part of the file that it stands in."""

    path: str
    description: str
    section: str


def parameters(text: str, values: Values) -> list[Parameter]:
    """Returns the described keys of the file ``text``, whose content is ``values``.

    Raises:
        ChartError: a key without a comment, a comment without a key, or a second comment on one key.
    """
    found = list(_described(text))
    paths = [one.path for one in found]
    problems = [f"{path}: described twice" for path in sorted({path for path in paths if paths.count(path) > 1})]
    problems += [f"{path}: described, but no key of the values" for path in paths if not has(values, path)]
    problems += [f"{path}: no comment; write: ## @param {path} what it is for" for path in _bare(values, set(paths))]
    if problems:
        raise ChartError("\n".join(problems))
    return found


def has(values: Values, path: str) -> bool:
    """Returns whether ``values`` has the dotted key ``path``."""
    here: Any = values
    for name in path.split("."):
        if not isinstance(here, dict) or name not in here:
            return False
        here = here[name]
    return True


def at(values: Values, path: str) -> Any:
    """Returns what stands under the dotted key ``path``."""
    here: Any = values
    for name in path.split("."):
        here = here[name]
    return here


def _described(text: str) -> Iterator[Parameter]:
    section, last = "", None
    for line in text.splitlines():
        continued = _CONTINUED.match(line)
        if last and continued:
            last = replace(last, description=f"{last.description} {continued[1]}")
            continue
        if last:
            yield last
        heading, parameter = _SECTION.match(line), _PARAMETER.match(line)
        section = heading[1] if heading else section
        last = Parameter(parameter[1], parameter[2], section) if parameter else None
    if last:
        yield last


def _bare(values: Values, described: set[str], above: str = "") -> Iterator[str]:
    """Yields the keys that are not described, and that no described mapping holds."""
    for name, value in values.items():
        path = f"{above}{name}"
        if path in described:
            continue
        if isinstance(value, dict) and value:
            yield from _bare(value, described, f"{path}.")
        else:
            yield path
