"""Listening on ``unix:/path`` or ``http://host:port``, with errors for the person who typed the address."""

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from adql.errors import InputError

BACKLOG = 2048
MAX_UNIX_PATH_BYTES = 107


def listen(address: str, variable: str) -> socket.socket:
    """Returns a listening socket; a unix socket has mode 0600, and replaces the one of a server that is gone.

    Raises:
        InputError: in use, not allowed, not resolvable, or a path of more than 107 bytes; names ``variable``, in which
            ``address`` was set.
    """
    try:
        return _listen_unix(address.removeprefix("unix:")) if address.startswith("unix:") else _listen_tcp(address)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        reason = "it is already in use" if taken else error.strerror
        way_out = f"set {variable} to another address" + (" or stop what uses it" if taken else "")
        raise InputError(f"cannot listen on {variable}={address}: {reason}; {way_out}") from None


def release(listening: socket.socket, address: str) -> None:
    """Closes the socket and removes its file."""
    listening.close()
    if address.startswith("unix:"):
        Path(address.removeprefix("unix:")).unlink(missing_ok=True)


def _listen_unix(path: str) -> socket.socket:
    if len(os.fsencode(path)) > MAX_UNIX_PATH_BYTES:
        raise OSError(errno.ENAMETOOLONG, f"the path has more than {MAX_UNIX_PATH_BYTES} bytes")
    _remove_stale(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with _closed_on_error(listening):
        listening.bind(path)
        os.chmod(path, 0o600)  # before listen(): nobody can have connected yet
        listening.listen(BACKLOG)
    return listening


def _remove_stale(path: str) -> None:
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.ENOTSOCK, "a file that is no socket is there")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe, contextlib.suppress(ConnectionRefusedError):
        probe.settimeout(1.0)
        probe.connect(path)
        raise OSError(errno.EADDRINUSE, "in use")
    os.unlink(path)


def _listen_tcp(address: str) -> socket.socket:
    parts = urlsplit(address)
    family, kind, protocol, _, target = socket.getaddrinfo(
        parts.hostname, parts.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listening = socket.socket(family, kind, protocol)
    with _closed_on_error(listening):
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(target)
        listening.listen(BACKLOG)
    return listening


@contextlib.contextmanager
def _closed_on_error(opened: socket.socket) -> Iterator[None]:
    try:
        yield
    except BaseException:
        opened.close()
        raise
