"""Asks a service's side port how it is, for containers that have no curl; starts in a moment, with nothing imported."""

import contextlib
import socket
from urllib.parse import urlsplit

from adql.errors import InputError, RunFailedError

READY, LIVE = "/readyz", "/livez"
"""``adql.wire.routes`` has them too; to import that would take longer than to ask."""
TIMEOUT_SECONDS = 4.0


def probe(address: str, path: str, timeout_seconds: float = TIMEOUT_SECONDS) -> str:
    """Returns what the side port at ``address`` (``unix:/path`` or ``http://host:port``) says at ``path``.

    Raises:
        InputError: it is no such address.
        RunFailedError: nobody answers there in time, or the answer is no.
    """
    try:
        status, said = _ask(address, path, timeout_seconds)
    except OSError as error:
        reason = f"no answer in {timeout_seconds:g} s" if isinstance(error, TimeoutError) else error.strerror
        raise RunFailedError(
            f"ADQL_SIDE={address}: {reason}; start the service, or correct ADQL_SIDE to where its side port is"
        ) from None
    if status != "200":
        raise RunFailedError(f"{address}{path}: {said or 'no answer that is HTTP'}; the service's log says why")
    return said


def _ask(address: str, path: str, timeout_seconds: float) -> tuple[str, str]:
    """Returns the status and the body of the answer, which is closed by its end."""
    with _connected(address, timeout_seconds) as connected:
        connected.sendall(f"GET {path} HTTP/1.0\r\nHost: probe\r\n\r\n".encode("ascii"))
        with connected.makefile("rb") as answer:
            head, _, body = answer.read(4096).decode("latin-1").partition("\r\n\r\n")
    return head.partition(" ")[2][:3], body.strip()


def _connected(address: str, timeout_seconds: float) -> socket.socket:
    if not address.startswith("unix:"):
        return socket.create_connection(_host_and_port(address), timeout_seconds)
    connected = socket.socket(socket.AF_UNIX)
    connected.settimeout(timeout_seconds)
    try:
        connected.connect(address.removeprefix("unix:"))
    except OSError:
        connected.close()
        raise
    return connected


def _host_and_port(address: str) -> tuple[str, int]:
    with contextlib.suppress(ValueError):  # a port that is none, a bracket that is not closed
        parts = urlsplit(address)
        if parts.scheme == "http" and parts.hostname and parts.port:
            return parts.hostname, parts.port
    raise InputError(f"ADQL_SIDE={address}: must be http://HOST:PORT or unix:/PATH; write what the service itself has")
