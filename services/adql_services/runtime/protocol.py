"""Uvicorn's HTTP protocol with the limits that it lacks: size of headers, time for headers, bodies and slow readers.

Headers and small bodies pass its parser in a small buffer. What a route receives into a buffer of its own goes there
from the kernel, past the parser. Deadlines grow with what is announced, so that a slow link passes and a client that
sends or reads nothing does not.
"""

import asyncio
import functools
import json
import socket
from enum import Enum
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from adql.telemetry import metrics
from adql.wire import routes
from adql.wire.connection import MIN_BYTES_PER_SECOND, UNIX_SEND_BYTES
from adql.wire.problems import problem_for_status
from adql_services.runtime.bodies import RECEIVE_INTO_KEY

MAX_HEAD_BYTES = 16 * 1024
HEAD_SECONDS = 5.0
BODY_SECONDS = 10.0
"""Plus the body's length at ``MIN_BYTES_PER_SECOND``; the same for a reader of an answer."""
LINGER_SECONDS = 5.0
"""How long a body may still come whose request was answered without it: its sender has to find the answer."""


SCRATCH_BYTES = 16 * 1024
"""For the parser: room for any head, and little enough that most of a bulk body never comes there."""
_scratch = memoryview(bytearray(SCRATCH_BYTES))


class _Stage(Enum):
    IDLE = "nothing of a request came"
    HEAD = "headers come"
    BODY = "the body comes"


class _HeadTooLargeError(Exception):
    """Raised inside a parser callback, which is how the parser is stopped."""


class GuardedProtocol(HttpToolsProtocol):
    """One connection of a server."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the clock: a connection that says nothing is closed."""
        super().connection_made(transport)
        connected = transport.get_extra_info("socket")
        if connected.family == socket.AF_UNIX:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNIX_SEND_BYTES)
        self._stage = _Stage.HEAD
        self._timed_stage = _Stage.IDLE
        self._timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._sink: memoryview | None = None
        self._head_bytes = 0
        self._oversized = False
        self._content_length = 0
        self._rearm()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the clocks."""
        self._stage, self._sink = _Stage.IDLE, None
        self._rearm()
        self._stop_write_timer()
        super().connection_lost(exc)

    def room(self) -> memoryview:
        """Returns where the next bytes go."""
        return _scratch if self._sink is None else self._sink

    def received(self, count: int) -> None:
        """Takes ``count`` bytes that came into ``room``."""
        if self._sink is None:
            self.data_received(_scratch[:count])  # type: ignore[arg-type]  # the parser reads any buffer
            return
        self._sink = self._sink[count:]
        if not self._sink:
            self._sink = None
            self.parser = httptools.HttpRequestParser(self)  # the former one waits for what went past it
            self.on_message_complete()
            self._rearm()

    def data_received(self, data: bytes) -> None:
        """Feeds the parser; headers that go on beyond the limit are refused before they are whole."""
        if self._stage is not _Stage.BODY:
            self._stage = _Stage.HEAD
            self._head_bytes += len(data)
        super().data_received(data)
        if self._stage is _Stage.HEAD and self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse_head()
        elif self._stage is _Stage.BODY and not self.cycle.response_complete:
            self.flow.pause_reading()  # until the route says where the rest goes
        self._rearm()

    def on_message_begin(self) -> None:
        """Parser callback."""
        super().on_message_begin()
        self._content_length = 0
        self._sink = None

    def on_headers_complete(self) -> None:
        """Parser callback."""
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > MAX_HEAD_BYTES:
            self._oversized = True
            raise _HeadTooLargeError
        self._content_length = next((int(v) for n, v in self.headers if n == b"content-length" and v.isdigit()), 0)
        self._stage = _Stage.BODY
        super().on_headers_complete()
        self.scope[RECEIVE_INTO_KEY] = functools.partial(self._receive_into, self.cycle)  # type: ignore[literal-required]

    def on_message_complete(self) -> None:
        """Parser callback."""
        super().on_message_complete()
        self._stage = _Stage.IDLE
        self._head_bytes = 0

    def on_response_complete(self) -> None:
        """Called when a request was answered, which may be long before its body is here, however long that is."""
        super().on_response_complete()
        if self._stage is _Stage.BODY and not self.transport.is_closing():
            self._stop_timer()
            self._timer = self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def send_400_response(self, msg: str) -> None:
        """What the parser refuses is answered as a problem."""
        if self._oversized:
            self._refuse_head()
        else:
            self._refuse(400, "this is not HTTP/1.1 as it is spoken here")

    def shutdown(self) -> None:
        """A request that is not here whole is given up: nothing of it was applied, and its sender will ask again."""
        if self._stage is _Stage.BODY:
            self.transport.close()
        else:
            super().shutdown()

    def pause_writing(self) -> None:
        """The reader is slower than this server; it gets a deadline."""
        super().pause_writing()
        seconds = BODY_SECONDS + self.transport.get_write_buffer_size() / MIN_BYTES_PER_SECOND
        self._stop_write_timer()
        self._write_timer = self.loop.call_later(seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """The reader caught up."""
        self._stop_write_timer()
        super().resume_writing()

    def _rearm(self) -> None:
        """Sets the deadline of the stage that the connection has come to."""
        if self._stage is self._timed_stage:
            return
        self._timed_stage = self._stage
        self._stop_timer()
        if self._stage is not _Stage.IDLE:
            in_head = self._stage is _Stage.HEAD
            seconds = HEAD_SECONDS if in_head else BODY_SECONDS + self._content_length / MIN_BYTES_PER_SECOND
            self._timer = self.loop.call_later(seconds, self._on_timeout)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timeout(self) -> None:
        self._refuse(408, "the request did not come whole in time")

    def _refuse_head(self) -> None:
        self._refuse(431, f"headers of more than {MAX_HEAD_BYTES} bytes")

    def _refuse(self, status: int, detail: str) -> None:
        """Answers unless another answer is under way, and closes the connection."""
        body = json.dumps(problem_for_status(status, detail)).encode()
        head = f"content-type: {routes.PROBLEM_JSON}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            metrics.REQUESTS.labels("4xx").inc()
            self.transport.write(STATUS_LINE[status] + head.encode() + body)
        self.transport.close()

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    async def _receive_into(self, cycle: RequestResponseCycle, body: memoryview) -> bool:
        """Fills ``body``, as long as the Content-Length, past the parser; returns False if it ended early."""
        if cycle.waiting_for_100_continue and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            cycle.waiting_for_100_continue = False
        body[: len(cycle.body)] = cycle.body
        if cycle.more_body:
            self._sink = body[len(cycle.body) :]
            self.flow.resume_reading()
        while cycle.more_body and not cycle.disconnected:
            cycle.message_event.clear()
            await cycle.message_event.wait()
        return not cycle.more_body


class Receiver(asyncio.BufferedProtocol):
    """Hands a connection to a GuardedProtocol, which says where its bytes go; the event loop copies nothing then."""

    def __init__(self, **settings: Any) -> None:
        self._http = GuardedProtocol(**settings)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins."""
        self._http.connection_made(cast(asyncio.Transport, transport))

    def get_buffer(self, sizehint: int) -> memoryview:
        """Returns where the next bytes go."""
        return self._http.room()

    def buffer_updated(self, nbytes: int) -> None:
        """Takes what came there."""
        self._http.received(nbytes)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends."""
        self._http.connection_lost(exc)

    def pause_writing(self) -> None:
        """The reader is slower than this server."""
        self._http.pause_writing()

    def resume_writing(self) -> None:
        """The reader caught up."""
        self._http.resume_writing()
