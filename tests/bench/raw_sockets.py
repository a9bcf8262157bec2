"""The same bytes over a bare socket: what a pull and a push cannot be faster than.

A one-byte request is answered by bytes into a reused buffer, bytes by one byte, a question by one byte; no checksum, no
HTTP.
"""

import contextlib
import multiprocessing
import socket
from collections.abc import Callable, Iterator

ASK, PULL, PUSH = b"?", b"<", b">"


@contextlib.contextmanager
def raw_cases(kind: str, directory: str, size: int) -> Iterator[dict[str, Callable[[], object]]]:
    """Yields a raw pull and a raw push of ``size`` bytes, and a question, with a process of their own."""
    family = socket.AF_UNIX if kind == "unix" else socket.AF_INET
    buffer = memoryview(bytearray(size))
    with socket.socket(family) as listening:
        listening.bind(f"{directory}/raw.sock" if kind == "unix" else ("127.0.0.1", 0))
        listening.listen()
        process = multiprocessing.Process(target=_serve, args=(listening, size), daemon=True)
        process.start()
        with socket.socket(family) as peer:
            peer.connect(listening.getsockname())
            yield {
                "raw_ask": lambda: _ask(peer),
                "raw_pull": lambda: _pull(peer, buffer),
                "raw_push": lambda: _push(peer, buffer),
            }
    process.join()  # it ends with the connection


def _ask(peer: socket.socket) -> None:
    peer.sendall(ASK)
    peer.recv(1)


def _pull(peer: socket.socket, buffer: memoryview) -> None:
    peer.sendall(PULL)
    _receive(peer, buffer)


def _push(peer: socket.socket, buffer: memoryview) -> None:
    peer.sendall(PUSH)
    peer.sendall(buffer)
    peer.recv(1)


def _serve(listening: socket.socket, size: int) -> None:
    peer, _ = listening.accept()
    buffer = memoryview(bytearray(size))
    while (wish := peer.recv(1)) != b"":
        if wish == PULL:
            peer.sendall(buffer)
        else:
            if wish == PUSH:
                _receive(peer, buffer)
            peer.sendall(b"!")


def _receive(peer: socket.socket, buffer: memoryview) -> None:
    """Fills ``buffer``."""
    received = 0
    while received < len(buffer):
        received += peer.recv_into(buffer[received:])
