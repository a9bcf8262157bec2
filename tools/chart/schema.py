"""The closed JSON schema of a values file."""

from fnmatch import fnmatchcase
from typing import Any

from adql.config import RunSpecification
from tools.chart.comments import ChartError, Parameter, Values, has
from tools.chart.constraints import CONSTRAINTS, EXCLUSIVE, Schema

RUN = "run"
"""The key under which the values hold a run specification."""
_KINDS: dict[type, str] = {bool: "boolean", int: "integer", float: "number", str: "string"}


def schema_of(values: Values, found: list[Parameter]) -> Schema:
    """Returns the schema of a values file with the defaults ``values`` and the comments ``found``.

    Raises:
        ChartError: a default that does not tell its type and has no constraint, or a constraint without a key.
    """
    builder = _Builder({one.path: one.description for one in found})
    closed = builder.mapping(values, "")
    if builder.problems or builder.unused:
        raise ChartError("\n".join([*builder.problems, *builder.unused]))
    pairs = [_at_most_one(*pair) for pair in EXCLUSIVE if all(has(values, path) for path in pair)]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Values of the chart adql",
        **closed,
        **({"allOf": pairs} if pairs else {}),
        "$defs": builder.definitions,
    }


class _Builder:
    """Walks over the defaults; remembers what it could not tell and which constraints it did not need."""

    def __init__(self, descriptions: dict[str, str]) -> None:
        self.definitions: dict[str, Schema] = {}
        self.problems: list[str] = []
        self._descriptions = descriptions
        self._needed: set[str] = set()

    @property
    def unused(self) -> list[str]:
        """Says which constraints met no key."""
        return [f"{path}: constrained in tools/chart, but no key" for path in CONSTRAINTS if path not in self._needed]

    def mapping(self, values: Values, above: str) -> Schema:
        """Returns the schema of a mapping that has the keys of ``values`` and no other."""
        properties = {name: self._value(value, f"{above}{name}") for name, value in values.items()}
        needed = [name for name, value in values.items() if _is_needed(value, properties[name])]
        return {
            "type": "object",
            "additionalProperties": False,
            **({"required": needed} if needed else {}),
            "properties": properties,
        }

    def _value(self, value: Any, path: str) -> Schema:
        schema = _also_as_text(self._bare(value, path))
        return {"description": self._descriptions[path], **schema} if path in self._descriptions else schema

    def _bare(self, value: Any, path: str) -> Schema:
        if path == RUN:
            return self._run()
        if constraint := self._constraint(path):
            return constraint
        if isinstance(value, dict) and value:
            return self.mapping(value, f"{path}.")
        if type(value) in _KINDS:
            return {"type": _KINDS[type(value)]}
        self.problems.append(f"{path}: {value!r} does not tell a type; add it to tools/chart/constraints.py")
        return {}

    def _constraint(self, path: str) -> Schema | None:
        for pattern, schema in CONSTRAINTS.items():
            if fnmatchcase(path, pattern):
                self._needed.add(pattern)
                return schema
        return None

    def _run(self) -> Schema:
        schema = RunSpecification.model_json_schema(ref_template="#/$defs/{model}")
        self.definitions |= {name: _bared(part) for name, part in schema.pop("$defs").items()}
        return {key: value for key, value in _bared(schema).items() if key != "description"}


def _is_needed(default: Any, schema: Schema) -> bool:
    """Returns whether a key has to be there, which in what Helm checks is not so only where somebody set it to null.

    Nothing instead of an empty text, list or mapping is the same; a list may be taken away as a whole.
    """
    return not isinstance(default, list) and default not in ("", {}) and "null" not in schema.get("type", ())


def _bared(schema: Any) -> Any:
    """Returns ``schema`` without the titles that pydantic makes of names, and without defaults of whole sections."""
    if isinstance(schema, list):
        return [_bared(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: _bared(part) for key, part in schema.items() if not (key == "title" and isinstance(part, str))}
    if isinstance(kept.get("default"), dict) and "$ref" in kept:
        del kept["default"]
    return _joined(_also_as_text(kept))


def _also_as_text(schema: Schema) -> Schema:
    """Returns ``schema``, a number's for a text as well: ``--set`` makes one of a fraction, and templates check it."""
    return {**schema, "type": ["number", "string"]} if schema.get("type") == "number" else schema


def _joined(schema: Schema) -> Schema:
    """Returns ``schema`` with its alternatives in one, where their types tell them apart.

    What is wrong is then one complaint, about the type that was given, and not one about each of the others as well.
    """
    parts: list[Schema] = schema.get("anyOf", [])
    words = [word for part in parts for word in part if word not in ("type", "description")]
    if not all("type" in part for part in parts) or len(words) > len({*words} - {"enum", "const"}):
        return schema
    types = [kind for part in parts for kind in ([part["type"]] if isinstance(part["type"], str) else part["type"])]
    outside = {word: said for word, said in schema.items() if word != "anyOf"}
    inside = {word: said for part in parts for word, said in part.items()}
    return {**inside, **outside, "type": types} if parts else schema


def _at_most_one(first: str, second: str) -> Schema:
    """Returns a schema that wants ``second`` to be false where ``first`` is true: its complaint names the key."""
    return {"if": _nested(first, True, required=True), "then": _nested(second, False, required=False)}


def _nested(path: str, value: bool, *, required: bool) -> Schema:
    schema: Schema = {"const": value}
    for name in reversed(path.split(".")):
        schema = {"properties": {name: schema}, **({"required": [name]} if required else {})}
    return schema
