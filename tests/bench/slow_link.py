"""A link of so many bits a second in front of a server: a token bucket each way, in a process of its own."""

import contextlib
import multiprocessing
import socket
import threading
import time
from collections.abc import Callable, Iterator

CHUNK_BYTES = 16 * 1024
BURST_BYTES = 64 * 1024
"""What passes at once after a silence, as a switch's buffer lets it."""
BUFFER_BYTES = 64 * 1024
"""Of the sockets: what lies in them was not sent yet, though its sender thinks so."""


class Bucket:
    """Says how long to wait before bytes may pass; ``clock`` is monotonic seconds."""

    def __init__(self, bytes_per_second: float, clock: Callable[[], float]) -> None:
        self._rate, self._clock = bytes_per_second, clock
        self._tokens, self._filled_at = float(BURST_BYTES), clock()

    def take(self, count: int) -> float:
        """Takes ``count`` bytes and returns for how many seconds they have to wait."""
        now = self._clock()
        self._tokens = min(BURST_BYTES, self._tokens + (now - self._filled_at) * self._rate) - count
        self._filled_at = now
        return max(0.0, -self._tokens / self._rate)


@contextlib.contextmanager
def slow_link(target: tuple[str, int], megabits: float) -> Iterator[str]:
    """Yields the address of a link to ``target`` on which each way carries ``megabits`` a second."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        relay = multiprocessing.get_context("fork").Process(target=_relay, args=(listening, target, megabits * 1e6 / 8))
        relay.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            relay.kill()
            relay.join()


def _relay(listening: socket.socket, target: tuple[str, int], rate: float) -> None:
    up, down = Bucket(rate, time.monotonic), Bucket(rate, time.monotonic)
    while True:
        near, _ = listening.accept()
        far = socket.create_connection(target)
        for end in (near, far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
        for source, sink, bucket in ((near, far, up), (far, near, down)):
            threading.Thread(target=_carry, args=(source, sink, bucket), daemon=True).start()


def _carry(source: socket.socket, sink: socket.socket, bucket: Bucket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(CHUNK_BYTES):
            time.sleep(bucket.take(len(chunk)))
            sink.sendall(chunk)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
