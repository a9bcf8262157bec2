"""Requests made from a service's own description: whole ones, and such as no client sends."""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from adql.wire import routes
from tests.services.plain_http import Answer, ask
from tests.wire.test_codec import crafted

BULK = (routes.UPDATES, routes.INSERT, routes.PRIORITIES)
NASTY: list[Any] = [
    *(None, True, -1, 0, 2**31, 2**53, 2**60, 2**63, 2**64, 10**400, 1.5, -0.0, 1e308, float("nan"), float("inf")),
    *("", "x" * 5_000, "\ud800", "\x00", "ädql", "1", "NaN", "../..", "{}", [], {}, [[]] * 50, {"a": {"b": [1]}}),
]
DTYPES = ["float32", "float64", "int32", "uint64", "bool", "bfloat16", "object", "", "f4"]
SHAPES = [[], [0], [1], [4], [2, 2], [-1], [2**31], [2**60], [2**60, 2**60], [3] * 40]


class Operation(NamedTuple):
    """One method of one path."""

    method: str
    path: str
    query: tuple[str, ...]
    body: dict[str, Any] | None
    """Its schema where the body is JSON."""

    @property
    def is_bulk(self) -> bool:
        return self.method == "POST" and self.path in BULK


def described(address: str) -> list[Operation]:
    """Returns every operation of the description."""
    document = json.loads(ask(address, "GET", routes.OPENAPI).body)
    return [
        Operation(method.upper(), path, _query(operation), _body(operation, document))
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def _query(operation: dict[str, Any]) -> tuple[str, ...]:
    return tuple(p["name"] for p in operation.get("parameters", []) if p["in"] == "query")


def _body(operation: dict[str, Any], document: dict[str, Any]) -> dict[str, Any] | None:
    content = operation.get("requestBody", {}).get("content", {})
    if "application/json" not in content:
        return None
    name = content["application/json"]["schema"]["$ref"].rpartition("/")[2]
    return document["components"]["schemas"][name]


def whole(schema: dict[str, Any]) -> dict[str, Any]:
    """Returns a body that fits the schema."""
    return {name: _example(part) for name, part in schema["properties"].items()}


def _example(schema: dict[str, Any]) -> Any:
    if "anyOf" in schema:
        return _example(schema["anyOf"][0])
    if "enum" in schema:
        return schema["enum"][0]
    if schema["type"] == "array":
        return [_example(schema["items"])]
    if schema["type"] == "object":
        return {_example(schema["propertyNames"]): _example(schema["additionalProperties"])}
    return {"string": "x", "boolean": True, "number": 1.0, "integer": 1}[schema["type"]]


def send(address: str, operation: Operation, body: bytes | None = None, path: str = "", **headers: str) -> Answer:
    """Sends ``body`` as what the route takes; ``path`` is another one, or the same with a query."""
    kind = routes.BINARY if operation.is_bulk else routes.JSON
    content = {} if body is None else {"Content-Type": kind}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    target = path or operation.path.replace("{session}", "x")
    return ask(address, operation.method, target, content | named, body)


def odd_json(schema: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Yields bodies with one thing wrong, and what that is."""
    good = whole(schema)
    yield "deep", b'{"a":' * 4_000 + b"1" + b"}" * 4_000
    yield "deeper than the parser", b"[" * 60_000
    yield "lone surrogate for a name", json.dumps(good | {"\ud800": 1}).encode()
    yield "not UTF-8", json.dumps(good).encode() + b"\xff"
    for name in good:
        for value in (float("nan"), float("inf"), "\ud800", [[1]], "x" * 20_000):
            yield f"{name}={str(value)[:20]!r}", json.dumps(good | {name: value}).encode()
        yield f"{name}=1e999", json.dumps(good | {name: "?"}).replace('"?"', "1e999").encode()


def fuzzed(operation: Operation, rng: random.Random) -> Callable[[str], Answer]:
    """Returns one request that looks like those of clients, with anything in any place."""
    path = operation.path.replace("{session}", rng.choice(["x", "x" * 65, "%00", "%ff%fe", "..%2f", "0"]))
    chosen = [(name, rng.choice(["0", "-1", "nan", "1e999", "x", "9" * 30, "true", "%ff"])) for name in operation.query]
    query = "&".join(f"{name}={value}" for name, value in chosen if rng.random() < 0.6)
    headers = {"If_None_Match": rng.choice(['"1.1"', "x" * 70, '"', "*"])} if rng.random() < 0.3 else {}
    body = None if operation.method != "POST" else _fuzzed_body(operation, rng)
    return lambda address: send(address, operation, body, f"{path}?{query}", **headers)


def _fuzzed_body(operation: Operation, rng: random.Random) -> bytes:
    if operation.is_bulk:
        names = rng.sample(["update", "observation", "action", "reward", "item_ids", "td_errors"], rng.randint(0, 3))
        arrays = [[name, rng.choice(DTYPES), rng.choice(SHAPES)] for name in names]
        fields = {name: rng.choice(NASTY[:14]) for name in ("session", "sequence", "epoch", "chunk", "incarnation")}
        return crafted(arrays, rng.randbytes(rng.choice([0, 8, 16, 64])), fields)
    tree = whole(operation.body) if operation.body else {}
    for name in [*tree, "extra"]:
        if rng.random() < 0.3:
            tree[name] = rng.choice(NASTY)
    return json.dumps(tree).encode()[: rng.choice([None, None, None, 10])]
