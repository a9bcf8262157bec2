"""A lean keep-alive HTTP/1.1 client over TCP or a unix socket: one request under way, answers in one reused buffer.

Requests are split in two, ``begin`` and ``finish``, so that the server works while the caller computes. Array buffers
go to the kernel as they are, and an answer's body is received straight into the buffer that the caller then decodes.
"""

import socket
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self, TypeVar
from urllib.parse import urlsplit

import msgspec
import numpy as np

from adql.errors import AdqlError, MalformedBodyError, TransportError, UnauthorizedError
from adql.types import ArraySpec
from adql.wire.codec import Buffer, Message, decode
from adql.wire.problems import error_from

CONNECT_SECONDS = 3.5
"""To connect, the second and third try of TCP included: who is gone, as a replaced pod is, says nothing."""
MIN_BYTES_PER_SECOND = 64 * 1024
"""A request's deadline grows with its size: slower links than this are given up."""
UNIX_SEND_BYTES = 4 * 1024 * 1024
"""Of a unix socket's buffer, as far as the system allows: by default both ends wait for each other 34 times in 7 MB."""
PARAMETER_SERVER_URL, REPLAY_URL = "ADQL_PARAMETER_SERVER_URL", "ADQL_REPLAY_URL"
"""The variables that set the services' addresses."""
_MAX_HEAD_BYTES = 32 * 1024
_MAX_BUFFERS_A_CALL = 64
_BODILESS = (204, 304)
T = TypeVar("T")

Token = Callable[[], str | tuple[str, ...] | None]
"""What to send with a request: a token, several of which the next is tried where one is refused, or none at all."""


@dataclass(frozen=True, slots=True)
class _Request:
    """A request under way, kept to be sent again with another token."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Sequence[Buffer]
    timeout_seconds: float
    wait_seconds: float
    token: str | None


@dataclass(frozen=True, slots=True)
class Response:
    """An answer below 400; ``body`` lies in the connection's buffer until the next ``finish``."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: memoryview

    def message(self, expected: Sequence[ArraySpec]) -> Message:
        """Decodes the body, whose arrays stay views of it.

        Raises:
            TransportError: it is damaged; the outcome is unknown as if it were lost, and the request may be sent again.
        """
        try:
            return decode(self.body, expected)
        except MalformedBodyError as error:
            raise TransportError(f"the answer was damaged: {error}") from None

    def parsed(self, kind: type[T]) -> T:
        """Reads the body as JSON of ``kind``.

        Raises:
            TransportError: it is not; as with ``message``.
        """
        try:
            return msgspec.json.decode(self.body, type=kind)
        except msgspec.MsgspecError as error:
            raise TransportError(f"the answer was damaged: {error}") from None


class Connection:
    """One keep-alive connection to ``address`` (``unix:/path`` or ``http://host:port``), made when it is first needed.

    After a TransportError it is closed, and the next ``begin`` connects again, resolving the name afresh. It never
    retries by itself: whether a request may be sent twice is the caller's knowledge. Only one that is refused for its
    token, which changes nothing, is sent again with the next token, so that tokens may be rotated at the two sides one
    after the other, in either order. Not for several threads at once.
    ``variable`` is what sets the address, for what is said where nobody listens.
    """

    def __init__(
        self,
        address: str,
        *,
        token: Token,
        timeout_seconds: float = 30.0,
        max_body_bytes: int = 1 << 30,
        clock: Callable[[], float] = time.monotonic,
        variable: str = "the address",
    ) -> None:
        self._address, self._variable = address, variable
        self._host = urlsplit(address).netloc or "localhost"
        self._token = token
        self._accepted: str | None = None
        self._timeout_seconds = timeout_seconds
        self._max_body_bytes = max_body_bytes
        self._clock = clock
        self._socket: socket.socket | None = None
        self.connects = 0
        """How often a connection was made."""
        self._head_buffer = memoryview(bytearray(_MAX_HEAD_BYTES))
        self._buffer = np.empty(0, np.uint8)
        self._under_way: _Request | None = None
        self._send_failure: OSError | None = None

    def begin(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Sequence[Buffer] = (),
        timeout_seconds: float | None = None,
        wait_seconds: float = 0.0,
    ) -> None:
        """Sends a request and does not wait for the answer; ``timeout_seconds`` holds for sending and for answering.

        ``wait_seconds``, which a long poll asks the server to wait at most, come on top. ``body`` is not to be written
        before ``finish``, which sends it again where a token is refused.

        Raises:
            TransportError: nobody listens, so nothing was sent; or it was not sent in time, and the outcome is unknown.
        """
        if self._under_way is not None:
            raise RuntimeError("a request is under way on this connection; finish() it first")
        timeout = self._timeout_seconds if timeout_seconds is None else timeout_seconds
        self._begin(_Request(method, path, headers or {}, body, timeout, wait_seconds, self._tokens()[0]))

    def _begin(self, request: _Request) -> None:
        length = sum(len(buffer) for buffer in request.body)
        deadline = self._clock() + request.timeout_seconds + length / MIN_BYTES_PER_SECOND
        try:
            head = request_head(request.method, request.path, self._host, request.token, length, request.headers)
            self._send([head, *request.body], deadline)
        except (BrokenPipeError, ConnectionResetError) as error:
            self._send_failure = error  # an early refusal may still lie in the socket: finish() looks for it
        except OSError as error:
            raise self._broken(error) from error
        except BaseException:  # interrupted by a signal: half a request may have been sent
            self.close()
            raise
        self._under_way = request

    def finish(self) -> Response:
        """Waits for the answer to the request under way.

        Raises:
            TransportError: no whole answer in time; the outcome is unknown.
            AdqlError: what an answer of 400 or above tells of, by kind.
        """
        if self._under_way is None:
            raise RuntimeError("no request is under way on this connection; begin() one first")
        request, refused = self._under_way, set[str | None]()
        while (response := self._answer()).status == 401:
            refused.add(request.token)
            untried = [token for token in self._tokens() if token not in refused]
            if not untried:
                raise UnauthorizedError(f"{self._address} refused {_described(refused)}")
            request = replace(request, token=untried[0])
            self._begin(request)
        self._accepted = request.token
        if response.status >= 400:
            raise error_from(response.status, response.body, response.headers)
        return response

    def _answer(self) -> Response:
        request, self._under_way = self._under_way, None
        assert request is not None
        try:
            response = self._receive(self._clock() + request.timeout_seconds + request.wait_seconds)
        except (OSError, ValueError) as error:
            raise self._broken(self._send_failure or error) from error
        except BaseException:  # interrupted by a signal: the answer that is still on its way belongs to nobody
            self.close()
            raise
        if self._send_failure or response.headers.get("connection", "").lower() == "close":
            self.close()
        return response

    def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Sequence[Buffer] = (),
        timeout_seconds: float | None = None,
        wait_seconds: float = 0.0,
    ) -> Response:
        """``begin`` and ``finish`` in one."""
        self.begin(method, path, headers=headers, body=body, timeout_seconds=timeout_seconds, wait_seconds=wait_seconds)
        return self.finish()

    def close(self) -> None:
        """Closes the socket and forgets the request under way; the next ``begin`` connects again."""
        if self._socket is not None:
            self._socket.close()
        self._socket, self._under_way, self._send_failure = None, None, None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _broken(self, cause: Exception) -> AdqlError:
        unsent = self._socket is None
        self.close()
        reason = "timed out" if isinstance(cause, TimeoutError) else str(cause)
        if unsent:
            return TransportError(
                f"{self._address}: {reason}; nobody listens there: start it, or correct {self._variable}"
            )
        return TransportError(f"{self._address}: {reason}; the outcome is unknown, send the same request again")

    def _tokens(self) -> tuple[str | None, ...]:
        """Returns what to try in turn: first the one that was accepted last, as long as it is one of them."""
        given = self._token()
        tokens = given if isinstance(given, tuple) else (given,)
        return tuple(sorted(tokens, key=lambda token: token != self._accepted))

    def _connected(self, deadline: float) -> socket.socket:
        if self._socket is None:
            self._socket = connect(self._address, min(CONNECT_SECONDS, self._remaining(deadline)))
            self.connects += 1
        return self._socket

    def _drop_if_closed(self) -> None:
        """Forgets a kept connection that the server has closed: nothing of the new request was sent yet."""
        if self._socket is not None and _is_closed(self._socket):
            self.close()

    def _remaining(self, deadline: float) -> float:
        remaining = deadline - self._clock()
        if remaining <= 0:
            raise TimeoutError("timed out")
        return remaining

    def _send(self, buffers: Sequence[Buffer], deadline: float) -> None:
        """Scatter-gather: the buffers are never joined."""
        self._drop_if_closed()
        connected = self._connected(deadline)
        views = [memoryview(buffer) for buffer in buffers]
        while views:
            connected.settimeout(self._remaining(deadline))
            sent = connected.sendmsg(views[:_MAX_BUFFERS_A_CALL])
            views = unsent(views, sent)

    def _receive(self, deadline: float) -> Response:
        status, headers, early = self._receive_head(deadline)
        length = 0 if status in _BODILESS else self._body_length(headers)
        if len(early) > length:
            raise ValueError(f"{len(early) - length} bytes more than the announced answer")
        body = self._reserve(length)
        body[: len(early)] = early
        received, deadline = len(early), deadline + length / MIN_BYTES_PER_SECOND
        while received < length:
            received += self._receive_some(body[received:], deadline)
        return Response(status, headers, body)

    def _receive_head(self, deadline: float) -> tuple[int, dict[str, str], memoryview]:
        """Returns status, headers, and what came of the body so far."""
        received = 0
        while received < _MAX_HEAD_BYTES:
            received += self._receive_some(self._head_buffer[received:], deadline)
            head = bytes(self._head_buffer[:received])
            end = head.find(b"\r\n\r\n")
            if end >= 0:
                return *parse_head(head[:end]), self._head_buffer[end + 4 : received]
        raise ValueError(f"headers of more than {_MAX_HEAD_BYTES} bytes")

    def _receive_some(self, into: memoryview, deadline: float) -> int:
        connected = self._connected(deadline)
        connected.settimeout(self._remaining(deadline))
        count = connected.recv_into(into)
        if count == 0:
            raise ConnectionError("closed by the other side before the whole answer came")
        return count

    def _body_length(self, headers: Mapping[str, str]) -> int:
        text = headers.get("content-length", "")
        if not (text.isascii() and text.isdigit()):
            raise ValueError("answer without Content-Length")
        if int(text) > self._max_body_bytes:
            raise ValueError(f"answer of {text} bytes, at most {self._max_body_bytes}")
        return int(text)

    def _reserve(self, length: int) -> memoryview:
        """Returns the body's place, aligned for any dtype; an outgrown buffer lives on under its callers' views."""
        if length > len(self._buffer):
            self._buffer = np.empty(length, np.uint8)
        return self._buffer.data[:length]


def request_head(
    method: str, path: str, host: str, token: str | None, length: int, headers: Mapping[str, str]
) -> bytes:
    """Returns what goes before a body of ``length`` bytes."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    if length or method in ("POST", "PUT"):
        lines.append(f"Content-Length: {length}")
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def connect(address: str, timeout_seconds: float) -> socket.socket:
    """Returns a socket that is connected to ``address`` (``unix:/path`` or ``http://host:port``).

    Raises:
        OSError: nobody listens there, or not in time.
    """
    if address.startswith("unix:"):
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNIX_SEND_BYTES)
        connected.settimeout(timeout_seconds)
        try:
            connected.connect(address.removeprefix("unix:"))
        except OSError:
            connected.close()
            raise
        return connected
    parts = urlsplit(address)
    connected = socket.create_connection((parts.hostname or "", parts.port or 80), timeout_seconds)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connected


def _described(refused: Collection[str | None]) -> str:
    if None in refused:
        return "a request without a token"
    return "the token" if len(refused) == 1 else f"each of the {len(refused)} tokens"


def _is_closed(connected: socket.socket) -> bool:
    """Tells whether an idle connection has ended, or holds bytes that nobody asked for."""
    connected.settimeout(0)
    try:
        connected.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def unsent(views: list[memoryview], sent: int) -> list[memoryview]:
    """Returns what is left of ``views`` after ``sent`` bytes."""
    for index, view in enumerate(views):
        if sent < len(view):
            return [view[sent:], *views[index + 1 :]]
        sent -= len(view)
    return []


def parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    """Returns status and headers, their names in lower case, of an answer's ``head`` without its empty line.

    Raises:
        ValueError: it is no HTTP.
    """
    status_line, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = status_line.partition(" ")
    if not version.startswith("HTTP/1.") or not rest[:3].isdigit():
        raise ValueError("answer is not HTTP")
    pairs = (line.partition(":") for line in lines)
    return int(rest[:3]), {name.strip().lower(): value.strip() for name, _, value in pairs}
