"""Reads configuration: defaults, then a YAML file, then ADQL_* variables, then the command line; the last one wins."""

import os
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from adql.config import yaml_text
from adql.config.complaints import complaint, shorten, with_variables
from adql.config.effective import effective
from adql.config.section import Section
from adql.config.specification import RunSpecification
from adql.config.variables import PREFIX, check_names, variable_of
from adql.errors import ConfigError

MAX_BYTES = 1 << 20
"""Of a specification; a file without end would fill the memory."""

Tree = dict[str, Any]
SectionT = TypeVar("SectionT", bound=Section)


def load_specification(
    file: Path | None = None, assignments: Sequence[str] = (), environ: Mapping[str, str] = os.environ
) -> RunSpecification:
    """Returns the run specification made of ``file``, ``environ`` and ``key=value`` assignments.

    Raises:
        ConfigError: names the key, the value and the bound, and where the value came from.
    """
    check_names(environ)
    tree = merged_layers(file, assignments, environ)
    typed = leaves(from_assignments(assignments))
    set_outside = leaves(from_environment(environ, RunSpecification)).keys() - typed.keys()
    variables = {key: variable_of(key) for key in sorted(set_outside)}
    return checked(RunSpecification, tree, variables)


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


def explain(
    file: Path | None = None,
    assignments: Sequence[str] = (),
    environ: Mapping[str, str] = os.environ,
    resolve: Callable[[RunSpecification], RunSpecification] = lambda specification: specification,
) -> str:
    """Returns one line a key, ``key=value  # origin``, for the specification that ``load_specification`` returns.

    Where the value is null, what it stands for comes after the origin. ``resolve`` adds what the environment says.
    """
    loaded = load_specification(file, assignments, environ)
    specification, given = resolve(loaded), leaves(loaded.model_dump(mode="json"))
    resolved, notes = leaves(specification.model_dump(mode="json")), effective(specification)
    above = [
        ("command line", leaves(from_assignments(assignments))),
        ("environment", leaves(from_environment(environ, RunSpecification))),
        (str(file), leaves(read_yaml(file) if file else {})),
    ]
    lines = {
        f"{key}={_flow(value)}": (_origin(key, above) if key in given else "the environment")
        + (f"; {notes[key]}" if value is None and key in notes else "")
        for key, value in resolved.items()
    }
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
    parts = key.split(".")
    wholes = {".".join(parts[:n]) for n in range(1, len(parts) + 1)}  # a bare number may stand for a whole schedule
    layer = next((layer for layer, keys in above if wholes & keys.keys()), "default")
    return variable_of(key) if layer == "environment" else layer


def _flow(value: Any) -> str:
    text = yaml_text.write(value, default_flow_style=True, width=10_000)
    return text.removesuffix("\n").removesuffix("\n...")


def load_settings(
    kind: type[SectionT], overrides: Mapping[str, Any] | None = None, environ: Mapping[str, str] = os.environ
) -> SectionT:
    """Returns a service's settings: defaults, ``ADQL_LISTEN`` and its like, then ``overrides``.

    Raises:
        ConfigError: a value that cannot be, or a misspelt variable.
    """
    check_names(environ)
    return checked(kind, {**from_environment(environ, kind), **(overrides or {})})


def specification_from(tree: Mapping[str, Any]) -> RunSpecification:
    """Checks ``tree`` whole."""
    return checked(RunSpecification, tree)


def checked(kind: type[SectionT], tree: Mapping[str, Any], variables: Mapping[str, str] | None = None) -> SectionT:
    """Builds ``kind`` from ``tree``; every complaint is gathered into one ConfigError of one line.

    ``variables`` has, by its key, the variable that each setting of the environment came from.
    """
    try:
        return kind.model_validate(tree)
    except ValidationError as error:
        said = (complaint(kind, dict(e), _name(kind, e["loc"])) for e in error.errors(include_url=False))
        raise ConfigError(with_variables("; ".join(said), variables or {})) from None


def _name(kind: type[BaseModel], location: Sequence[int | str]) -> str:
    """A key of the run specification is known by its own name, a service's setting by that of its variable."""
    key = ".".join(map(str, location))
    return key if issubclass(kind, RunSpecification) else variable_of(key)


def describe_variables(kind: type[BaseModel], width: int) -> str:
    """Returns each variable of a service with its default, and below it what it is for, wrapped to ``width``."""
    return "\n".join(_described(kind, name, width) for name in kind.model_fields)


def _described(kind: type[BaseModel], name: str, width: int) -> str:
    default = kind.model_fields[name].default
    known = (base.model_fields.get(name) for base in kind.__mro__ if issubclass(base, BaseModel))
    text = next((field.description for field in known if field and field.description), "")  # the nearest that says it
    value = " (not set)" if default is None else f"={default}"
    indented = textwrap.fill(text.replace("``", ""), width, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return f"  {variable_of(name)}{value}\n{indented}"


def read_yaml(file: Path) -> Tree:
    """Reads one YAML mapping.

    Raises:
        ConfigError: the file is missing, unreadable, no YAML or no mapping.
    """
    try:
        tree = yaml_text.read(_text(file))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"cannot read {file}: {reason}; name an existing YAML file or write key=value") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{file} is not YAML: {' '.join(str(error).split())}") from None
    if tree is None:
        raise ConfigError(f"{file} is empty; write keys into it, such as 'training: {{learners: 2}}'")
    if not isinstance(tree, dict):
        raise ConfigError(f"{file} holds {type(tree).__name__}, not a mapping such as 'training: {{learners: 2}}'")
    return tree


def _text(file: Path) -> str:
    """Returns the text of ``file``, which may be a pipe."""
    with file.open("rb") as stream:
        content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{file} has more than {MAX_BYTES} bytes; name a specification")
    return content.decode("utf-8")


def to_yaml(specification: RunSpecification) -> str:
    """Returns the whole specification, defaults included, in a form that reads back to an equal one."""
    tree = specification.model_dump(mode="json")
    return yaml_text.write(tree, sort_keys=False)


def to_annotated_yaml(specification: RunSpecification) -> str:
    """Returns ``to_yaml`` with what each null stands for, as a comment."""
    notes, path, lines = effective(specification), [""], []
    for line in to_yaml(specification).splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        path[depth:] = [line.strip().partition(":")[0]]
        note = notes.get(".".join(path)) if line.endswith(": null") else None
        lines.append(f"{line}  # {note}\n" if note else f"{line}\n")
    return "".join(lines)


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
    """Picks the variables that name a field of ``kind``: ``ADQL_REPLAY__CAPACITY`` is ``replay.capacity``.

    Values are YAML, but paths, addresses and other texts of a service's settings are what they are.
    """
    tree: Tree = {}
    for variable, value in sorted(environ.items()):
        path = variable.removeprefix(PREFIX).lower().split("__")
        if variable.startswith(PREFIX) and path[0] in kind.model_fields:
            text = _is_text(kind.model_fields[path[0]].annotation)
            tree = _merge(tree, _nested(path, (value or None) if text else _parsed(variable, value)))
    return tree


def _is_text(annotation: Any) -> bool:
    return bool({annotation, *get_args(annotation)} & {str, Path})


def _nested(path: Sequence[str], value: Any) -> Tree:
    for part in reversed(path):
        value = {part: value}
    return dict(value)


def _parsed(key: str, value: str) -> Any:
    try:
        return yaml_text.read(value)
    except yaml.YAMLError:
        raise ConfigError(f"{key}: {shorten(value)!r} is not a YAML value; quote it") from None


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> Tree:
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged
