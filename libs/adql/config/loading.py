"""Reads configuration: defaults, then a YAML file, then ADQL_* variables, then the command line; the last one wins."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from adql.config.specification import RunSpecification, Section
from adql.errors import ConfigError

PREFIX = "ADQL_"
Tree = dict[str, Any]
SectionT = TypeVar("SectionT", bound=Section)


def load_specification(
    file: Path | None = None, assignments: Sequence[str] = (), environ: Mapping[str, str] = os.environ
) -> RunSpecification:
    """Returns the run specification made of ``file``, ``environ`` and ``key=value`` assignments.

    Raises:
        ConfigError: names the key, the value and the bound, and where the value came from.
    """
    return specification_from(merged_layers(file, assignments, environ))


def merged_layers(file: Path | None, assignments: Sequence[str], environ: Mapping[str, str]) -> Tree:
    """Returns the three layers above the defaults as one tree, the later ones winning key by key."""
    layers = [
        read_yaml(file) if file else {},
        from_environment(environ, RunSpecification),
        from_assignments(assignments),
    ]
    merged: Tree = {}
    for layer in layers:
        merged = _merge(merged, layer)
    return merged


def explain(file: Path | None = None, assignments: Sequence[str] = (), environ: Mapping[str, str] = os.environ) -> str:
    """Returns one line a key, ``key=value  # origin``, for the specification that ``load_specification`` returns."""
    resolved = leaves(load_specification(file, assignments, environ).model_dump(mode="json"))
    above = [
        ("command line", leaves(from_assignments(assignments))),
        ("environment", leaves(from_environment(environ, RunSpecification))),
        (str(file), leaves(read_yaml(file) if file else {})),
    ]
    lines = {f"{key}={_flow(value)}": _origin(key, above) for key, value in resolved.items()}
    width = max(map(len, lines))
    return "".join(f"{line:{width}}  # {origin}\n" for line, origin in lines.items())


def leaves(tree: Mapping[str, Any], prefix: str = "") -> Tree:
    """Returns every value of ``tree`` that is no section, by its whole key."""
    found: Tree = {}
    for name, value in tree.items():
        key = f"{prefix}{name}"
        found |= leaves(value, f"{key}.") if isinstance(value, Mapping) and value else {key: value}
    return found


def _origin(key: str, above: Sequence[tuple[str, Tree]]) -> str:
    """Returns the highest layer that has ``key``; ADQL_* by the variable's whole name."""
    layer = next((layer for layer, keys in above if key in keys), "default")
    return PREFIX + key.upper().replace(".", "__") if layer == "environment" else layer


def _flow(value: Any) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10_000)
    return text.removesuffix("\n").removesuffix("\n...")


def load_settings(
    kind: type[SectionT], overrides: Mapping[str, Any] | None = None, environ: Mapping[str, str] = os.environ
) -> SectionT:
    """Returns a service's settings: defaults, ``ADQL_LISTEN`` and its like, then ``overrides``."""
    return checked(kind, {**from_environment(environ, kind), **(overrides or {})})


def specification_from(tree: Mapping[str, Any]) -> RunSpecification:
    """Checks ``tree`` whole."""
    return checked(RunSpecification, tree)


def checked(kind: type[SectionT], tree: Mapping[str, Any]) -> SectionT:
    """Builds ``kind`` from ``tree``; every complaint is gathered into one ConfigError of one line."""
    try:
        return kind.model_validate(tree)
    except ValidationError as error:
        raise ConfigError("; ".join(_complaint(kind, dict(e)) for e in error.errors(include_url=False))) from None


def read_yaml(file: Path) -> Tree:
    """Reads one YAML mapping.

    Raises:
        ConfigError: the file is missing, unreadable, no YAML or no mapping.
    """
    try:
        tree = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {file}: {error}; name an existing YAML file") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{file} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{file} holds {type(tree).__name__}, not a mapping such as 'training: {{learners: 2}}'")
    return tree


def to_yaml(specification: RunSpecification) -> str:
    """Returns the whole specification, defaults included, in a form that reads back to an equal one."""
    tree = specification.model_dump(mode="json")
    text: str = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)
    return text


def child_environment(settings: Section, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Returns the variables for a child process: ``settings`` as ADQL_*, and of ``environ`` what is not ADQL_*.

    The parent's own ADQL_* are in the resolved specification already; again in the child they would win over it.
    """
    inherited = {name: value for name, value in environ.items() if not name.startswith(PREFIX)}
    fields = settings.model_dump(mode="json", exclude_defaults=True)
    return inherited | {PREFIX + name.upper(): str(value) for name, value in fields.items()}


def from_assignments(assignments: Sequence[str]) -> Tree:
    """Turns ``replay.capacity=1000`` into a tree; values are YAML scalars or flow collections."""
    tree: Tree = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not (equals and key):
            raise ConfigError(f"{assignment!r} is not key=value, such as replay.capacity=50000")
        tree = _merge(tree, _nested(key.split("."), _parsed(key, value)))
    return tree


def from_environment(environ: Mapping[str, str], kind: type[BaseModel]) -> Tree:
    """Picks the variables that name a field of ``kind``: ``ADQL_REPLAY__CAPACITY`` is ``replay.capacity``."""
    tree: Tree = {}
    for variable, value in sorted(environ.items()):
        path = variable.removeprefix(PREFIX).lower().split("__")
        if variable.startswith(PREFIX) and path[0] in kind.model_fields:
            tree = _merge(tree, _nested(path, _parsed(variable, value)))
    return tree


def _nested(path: Sequence[str], value: Any) -> Tree:
    for part in reversed(path):
        value = {part: value}
    return dict(value)


def _parsed(key: str, value: str) -> Any:
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError:
        raise ConfigError(f"{key}: {value!r} is not a YAML value; quote it") from None


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> Tree:
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _complaint(kind: type[BaseModel], error: Mapping[str, Any]) -> str:
    key = ".".join(str(part) for part in error["loc"])
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        return f"{key}: unknown key; known here: {', '.join(_siblings(kind, error['loc']))}"
    if error["type"] == "value_error":
        return f"{key}: {message}" if key else message
    return f"{key}={error['input']!r}: {message}"


def _siblings(kind: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    for part in location[:-1]:
        kind = _section_at(kind, str(part))
    return sorted(kind.model_fields)


def _section_at(kind: type[BaseModel], key: str) -> type[BaseModel]:
    annotation = kind.model_fields[key].annotation
    sections = (annotation, *get_args(annotation))
    return next(s for s in sections if isinstance(s, type) and issubclass(s, BaseModel))
