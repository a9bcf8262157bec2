"""Bulk bodies: received into one preallocated buffer, sent as the buffers they are."""

from collections.abc import Mapping, Sequence

import numpy as np
from fastapi import Request, Response
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from adql.errors import BodyTooLargeError, LengthRequiredError, UnsupportedMediaTypeError
from adql.wire import routes
from adql.wire.codec import Buffer

RECEIVE_KEY = "adql.receive"
"""Where the guard leaves the receive function without the small cap for JSON."""
RECEIVE_INTO_KEY = "adql.receive_into"
"""Where the protocol leaves a function that receives the body straight into a buffer of its length."""


async def read_body(request: Request, *, limit: int) -> memoryview:
    """Returns the binary body of ``request``, at most ``limit`` bytes, aligned for any dtype.

    How long a body may take is the protocol's law, so that it holds for every route.

    Raises:
        UnsupportedMediaTypeError: another content type.
        LengthRequiredError: no Content-Length.
        BodyTooLargeError: more than ``limit``; nothing was allocated.
        ClientDisconnect: the body ended early.
    """
    body = np.empty(_checked_length(request, limit), np.uint8).data
    receive_into = request.scope.get(RECEIVE_INTO_KEY)
    whole = await receive_into(body) if receive_into else await _received(request.scope[RECEIVE_KEY], body)
    if not whole:
        raise ClientDisconnect
    return body


async def _received(receive: Receive, body: memoryview) -> bool:
    """Fills ``body`` under a server other than this package's; returns False when it ended early."""
    received = 0
    while received < len(body):
        message = await receive()
        if message["type"] != "http.request":
            return False
        chunk = message.get("body", b"")
        body[received : received + len(chunk)] = chunk
        received += len(chunk)
    return True


def _checked_length(request: Request, limit: int) -> int:
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() != routes.BINARY:
        raise UnsupportedMediaTypeError(f"the body must be {routes.BINARY}")
    text = request.headers.get("content-length")
    if text is None:
        raise LengthRequiredError("the body needs a Content-Length")
    if int(text) > limit:
        raise BodyTooLargeError(f"the body has {int(text)} bytes, at most {limit} are taken here", limit=limit)
    return int(text)


class BinaryResponse(Response):
    """Sends ``buffers`` one after the other, never joined; they must never be written again."""

    media_type = routes.BINARY

    def __init__(
        self,
        buffers: Sequence[Buffer],
        headers: Mapping[str, str] | None = None,
        status_code: int = 200,
    ) -> None:
        length = sum(len(buffer) for buffer in buffers)
        super().__init__(None, status_code, {**(headers or {}), "content-length": str(length)})
        self._buffers = buffers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers as an ASGI application."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        last = len(self._buffers) - 1
        for index, buffer in enumerate(self._buffers):
            await send({"type": "http.response.body", "body": buffer, "more_body": index < last})
