"""The bounds of numbers that may also come as a text, which is what ``--set`` makes of a fraction."""

from collections.abc import Iterator, Mapping
from typing import Any

BOUNDS = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")


def numbers(schema: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Returns the bounds of each such key: a schema holds numbers to them, and no text."""
    return dict(_below(schema, schema["$defs"], ""))


def _below(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], path: str
) -> Iterator[tuple[str, dict[str, float]]]:
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    if isinstance(schema.get("type"), list) and {"number", "string"} <= set(schema["type"]):
        yield path, {bound: schema[bound] for bound in BOUNDS if bound in schema}
    for name, part in schema.get("properties", {}).items():
        yield from _below(part, definitions, f"{path}.{name}".lstrip("."))
    for part in schema.get("anyOf", ()):
        yield from _below(part, definitions, path)
