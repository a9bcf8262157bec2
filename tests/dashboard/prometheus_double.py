"""A server that answers as Prometheus does, or as somebody else."""

import contextlib
import json
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[str, dict[str, str]], tuple[int, bytes]]
"""From the last word of the path and the parameters to status and body."""


def matrix(*series: tuple[dict[str, str], list[tuple[float, float]]]) -> bytes:
    """Returns the answer with these labels and points."""
    found = [{"metric": labels, "values": [[time, str(value)] for time, value in points]} for labels, points in series]
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": found}}).encode()


@contextlib.contextmanager
def answering(answer: Answer) -> Iterator[str]:
    """Yields the address of a server that answers so."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            status, text = answer(self.path.rpartition("/")[2], dict(urllib.parse.parse_qsl(body)))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with _served(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as address:
        yield address


@contextlib.contextmanager
def saying(said: bytes) -> Iterator[str]:
    """Yields the address of a server that says this to every request, and hangs up."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.wfile.write(said)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with _served(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as address:
        yield address


@contextlib.contextmanager
def _served(server: ThreadingHTTPServer) -> Iterator[str]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
