"""The outermost layer of every service, pure ASGI: who may ask, in which form, and what if something breaks."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adql.errors import (
    AdqlError,
    LengthRequiredError,
    UnauthorizedError,
    UnavailableError,
    UnsupportedMediaTypeError,
    WireError,
)
from adql.telemetry import metrics
from adql.telemetry.logs import get_logger
from adql.wire import routes
from adql.wire.problems import problem, problem_headers
from adql_services.runtime.bodies import RECEIVE_INTO_KEY, RECEIVE_KEY
from adql_services.runtime.tokens import Tokens

MAX_JSON_BYTES = 64 * 1024
"""Of every body that is not read by ``read_body``."""

_STATUS_CLASSES = {n: f"{n}xx" for n in range(1, 6)}


class Guard:
    """Checks Host, encodings and token before anything else runs; turns what escapes into a problem document."""

    def __init__(self, app: ASGIApp, tokens: Tokens | None) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send)
        try:
            headers = _single_headers(scope)
            self._check(headers)
            scope[RECEIVE_KEY] = receive
            await self._app(scope, _capped(receive, headers), answer.send)
        except ClientDisconnect:
            return
        except asyncio.CancelledError:
            await answer.refuse(UnavailableError("this server is shutting down; ask again"))
        except AdqlError as error:
            if error.status == 500:
                get_logger().error("request failed", path=scope["path"], error=str(error), kind=error.kind)
            await answer.refuse(error)
        except Exception:
            get_logger().exception("request failed", method=scope["method"], path=scope["path"])
            await answer.refuse(AdqlError("internal error; the server's log has the details"))
        finally:
            for key in (RECEIVE_KEY, RECEIVE_INTO_KEY):
                scope.pop(key, None)  # they lead back to the scope: else each request is left to the garbage collector

    def _check(self, headers: Mapping[bytes, bytes]) -> None:
        if not headers.get(b"host"):
            raise WireError("exactly one Host header is needed")
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise UnsupportedMediaTypeError("bodies are never decompressed; send it without Content-Encoding")
        if b"transfer-encoding" in headers:
            raise LengthRequiredError("chunked bodies are not taken; send a Content-Length")
        if self._tokens is not None:
            scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
            if scheme.lower() != b"bearer" or not self._tokens.accepts(token.strip()):
                raise UnauthorizedError("a valid token is needed: Authorization: Bearer <token>")


class _Answer:
    """Knows whether an answer was begun, and counts it."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._begun = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._begun = True
            metrics.REQUESTS.labels(_STATUS_CLASSES[message["status"] // 100]).inc()
        await self._send(message)

    async def refuse(self, error: AdqlError) -> None:
        """Answers with a problem, unless an answer was begun: then uvicorn closes the connection."""
        if self._begun:
            return
        status, document = problem(error)
        body = json.dumps(document).encode()
        headers = {
            "Content-Type": routes.PROBLEM_JSON,
            "Content-Length": str(len(body)),
            **problem_headers(error),
        }
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": status, "headers": raw})
        await self.send({"type": "http.response.body", "body": body})


def _single_headers(scope: Scope) -> dict[bytes, bytes]:
    """Returns the headers by name; one that must stand alone and does not is refused."""
    headers: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in headers and name in (b"host", b"authorization", b"content-length", b"content-type"):
            raise WireError(f"header {name.decode('ascii')} stands twice")
        headers[name] = value
    return headers


def _capped(receive: Receive, headers: Mapping[bytes, bytes]) -> Receive:
    """Returns ``receive`` for JSON bodies; the parser never delivers more than the Content-Length checked here."""

    async def capped() -> Any:
        if int(headers.get(b"content-length", b"0")) > MAX_JSON_BYTES:
            raise HTTPException(413, f"the body has more than {MAX_JSON_BYTES} bytes")
        return await receive()

    return capped
