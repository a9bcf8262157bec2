"""A server that does exactly what a test wants: each connection is handled by the next function of a script."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

Act = Callable[[socket.socket], None]
LIMIT_SECONDS, LATE_SECONDS = 1.0, 1.5
"""A limit that one stall of the machine does not pass, and when an answer comes that is later than it."""


def read_request(peer: socket.socket) -> bytes:
    """Reads one whole request, its body by Content-Length."""
    received = b""
    while b"\r\n\r\n" not in received:
        if not (chunk := peer.recv(65536)):
            return received
        received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    lengths = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    while len(body) < sum(lengths):
        body += peer.recv(1 << 20)
    return head + b"\r\n\r\n" + body


def recording(log: list[bytes], *answers: bytes) -> Act:
    """Like ``answering``; ``log`` gets every request."""

    def act(peer: socket.socket) -> None:
        for answer in answers:
            log.append(read_request(peer))
            peer.sendall(answer)
        peer.recv(1)

    return act


def answering(*answers: bytes) -> Act:
    """Reads a request and sends an answer, as often as there are answers, then waits for the client to hang up."""
    return recording([], *answers)


def late(*answers: bytes) -> Act:
    """Like ``answering``, and each answer comes only after LATE_SECONDS."""

    def act(peer: socket.socket) -> None:
        for answer in answers:
            read_request(peer)
            time.sleep(LATE_SECONDS)
            peer.sendall(answer)
        peer.recv(1)

    return act


def closing_after(*answers: bytes) -> Act:
    """Like ``answering``, but done with the last answer: the connection is closed unless the script goes on with it."""

    def act(peer: socket.socket) -> None:
        for answer in answers:
            read_request(peer)
            peer.sendall(answer)

    return act


def ok(body: bytes = b"", headers: str = "") -> bytes:
    """An answer of 200."""
    return f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n{headers}\r\n".encode() + body


@contextlib.contextmanager
def scripted_server(directory: Path | None, *script: Act) -> Iterator[str]:
    """Yields the address: a unix socket in ``directory``, or TCP when that is None."""
    with socket.socket(socket.AF_UNIX if directory else socket.AF_INET) as listening:
        listening.bind(str(directory / "s.sock") if directory else ("127.0.0.1", 0))
        listening.listen()
        name = listening.getsockname()
        peers: list[socket.socket] = []
        thread = threading.Thread(target=_play, args=(listening, script, peers), daemon=True)
        thread.start()
        yield f"unix:{name}" if directory else f"http://127.0.0.1:{name[1]}"
        for ended in (listening, *peers):
            with contextlib.suppress(OSError):
                ended.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def _play(listening: socket.socket, script: tuple[Act, ...], peers: list[socket.socket]) -> None:
    for act in script:
        with contextlib.suppress(OSError):
            peer, _ = listening.accept()
            peers.append(peer)
            with peer:
                act(peer)
