"""Bulk routes: what learners ask all the time, answered without the framework's solving of dependencies.

They stand behind the same guard and in the same description as every other route. A bulk request has no JSON body; its
query is a ``msgspec.Struct``, read once for each query string, since a client sends the same one again and again.
"""

import functools
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qsl

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from adql.errors import MalformedBodyError
from adql.wire import routes
from adql.wire.problems import problem_for_status

Wait = Annotated[float, msgspec.Meta(ge=0.0, le=routes.MAX_WAIT_SECONDS)]
"""The query parameter of a long poll."""
QueryT = TypeVar("QueryT", bound=msgspec.Struct)
Handler = Callable[[Request, QueryT], Awaitable[Response]]


class NoQuery(msgspec.Struct, frozen=True):
    """Of a route that reads nothing from its query."""


@dataclass(frozen=True, slots=True)
class BulkRoute:
    """One verb; its path has no other."""

    method: str
    path: str
    query: type[msgspec.Struct]
    answer: type | None
    """Record of the JSON answer; None: the answer is binary."""
    body: bool
    """Whether it reads a binary body."""
    handler: Handler[Any]

    async def respond(self, request: Request) -> Response:
        """Checks method and query and calls the handler."""
        if request.method != self.method:
            document = problem_for_status(405, "Method Not Allowed")
            return JSONResponse(document, 405, {"Allow": self.method}, media_type=routes.PROBLEM_JSON)
        return await self.handler(request, _query(self.query, request.scope["query_string"]))

    def describe(self) -> dict[str, Any]:
        """Returns the path's item of the OpenAPI description."""
        query = _schema(self.query)
        described = {
            "summary": self.handler.__name__.replace("_", " ").capitalize(),
            "description": self.handler.__doc__ or "",
            "parameters": [
                {"name": name, "in": "query", "required": name in query["required"], "schema": schema}
                for name, schema in query["properties"].items()
            ],
            "responses": {"200": {"description": "Done", "content": self._content()}},
        }
        if self.body:
            described["requestBody"] = {"required": True, "content": {routes.BINARY: {}}}
        return {self.method.lower(): described}

    def _content(self) -> dict[str, Any]:
        return {routes.BINARY: {}} if self.answer is None else {routes.JSON: {"schema": _schema(self.answer)}}


class BulkDispatch:
    """ASGI middleware: finds a bulk route by its path, and hands everything else on."""

    def __init__(self, app: ASGIApp, bulk: Mapping[str, BulkRoute]) -> None:
        self._app, self._bulk = app, bulk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs one request."""
        route = self._bulk.get(scope["path"]) if scope["type"] == "http" else None
        if route is None:
            await self._app(scope, receive, send)
        else:
            response = await route.respond(Request(scope))
            await response(scope, receive, send)


def bulk_route(
    app: FastAPI, method: str, path: str, query: type[QueryT], *, answer: type | None = None, body: bool | None = None
) -> Callable[[Handler[QueryT]], Handler[QueryT]]:
    """Adds a bulk route to an application that ``application`` made; by default a POST has a body."""

    def add(handler: Handler[QueryT]) -> Handler[QueryT]:
        app.state.bulk[path] = BulkRoute(
            method, path, query, answer, method == "POST" if body is None else body, handler
        )
        return handler

    return add


def json_answer(content: Any) -> Response:
    """Returns ``content`` as JSON."""
    return Response(msgspec.json.encode(content), media_type=routes.JSON)


@functools.lru_cache(maxsize=256)
def _query(kind: type[msgspec.Struct], text: bytes) -> msgspec.Struct:
    try:
        return msgspec.convert(dict(parse_qsl(text.decode("latin-1"), keep_blank_values=True)), kind, strict=False)
    except msgspec.ValidationError as error:
        raise MalformedBodyError(f"query: {error}") from None


def _schema(kind: type) -> dict[str, Any]:
    (_,), components = msgspec.json.schema_components([kind])
    schema: dict[str, Any] = components[kind.__name__]
    return schema
