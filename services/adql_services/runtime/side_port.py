"""/livez, /readyz and /metrics on a port and threads of their own: busy or attacked, the service answers its probes."""

import socket
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from adql.telemetry.metrics import Page
from adql.wire import routes
from adql_services.runtime.sockets import listen, release

_TEXT = "text/plain; charset=utf-8"
_REQUEST_SECONDS = 5.0


class Health:
    """Beaten by the working loop, read by the side port's thread; waiting counts as progress, hanging does not."""

    def __init__(self, max_silence_seconds: float = 30.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_silence_seconds = max_silence_seconds
        self._clock = clock
        self._last_beat = clock()
        self.ready = False

    def beat(self) -> None:
        """Says that the loop went round."""
        self._last_beat = self._clock()

    @property
    def alive(self) -> bool:
        """Whether the last beat is younger than ``max_silence_seconds``."""
        return self._clock() - self._last_beat < self._max_silence_seconds


class SidePort:
    """A context manager that answers on ``address`` (``unix:/path`` or ``http://host:port``) while it is entered.

    /metrics shows ``page``.

    Raises:
        InputError: the address cannot be listened on; at construction.
    """

    def __init__(self, address: str, health: Health, page: Page) -> None:
        self._address = address
        self._listening = listen(address, "ADQL_SIDE")
        self._server = _Server(self._listening, health, page)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="side-port", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        release(self._listening, self._address)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, listening: socket.socket, health: Health, page: Page) -> None:
        super().__init__(("", 0), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.health, self.page = health, page

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A prober that hangs up is no event."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _REQUEST_SECONDS
    server_version = "adql"
    sys_version = ""

    def do_GET(self) -> None:
        """Answers the three paths."""
        health = self.server.health
        if self.path == routes.LIVEZ:
            self._answer(200 if health.alive else 503, b"alive\n" if health.alive else b"no heartbeat\n")
        elif self.path == routes.READYZ:
            self._answer(200 if health.ready else 503, b"ready\n" if health.ready else b"not ready\n")
        elif self.path == routes.METRICS:
            self._answer(200, b"".join(map(generate_latest, self.server.page)), CONTENT_TYPE_LATEST)
        else:
            self._answer(404, b"not found\n")

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answers in one line what the standard library refuses; an unknown method is 405."""
        status = HTTPStatus.METHOD_NOT_ALLOWED if code == HTTPStatus.NOT_IMPLEMENTED else HTTPStatus(code)
        self.close_connection = True
        self._answer(status, status.phrase.encode() + b"\n")

    def log_message(self, format: str, *args: Any) -> None:
        """Probes are not logged."""

    def _answer(self, status: int, body: bytes, content_type: str = _TEXT) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
