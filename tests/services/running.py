"""Starts the small service as a real process."""

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from adql.errors import AdqlError
from adql.wire.connection import Connection
from tests.ports import free_port
from tests.waiting import wait_until

PROGRAM = str(Path(__file__).with_name("small_service.py"))


@dataclass
class Running:
    """A service under test."""

    process: subprocess.Popen
    listen: str
    side: str
    directory: Path

    def connection(self, token: str | None = None, **options) -> Connection:
        return Connection(self.listen, token=lambda: token, **options)

    def raw(self) -> socket.socket:
        """Returns a plain socket to the service."""
        unix = self.listen.startswith("unix:")
        peer = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
        peer.settimeout(20)
        try:
            peer.connect(self.listen[5:] if unix else ("127.0.0.1", int(self.listen.rpartition(":")[2])))
        except OSError:
            peer.close()
            raise
        return peer

    def side_connection(self) -> Connection:
        return Connection(self.side, token=lambda: None, timeout_seconds=5)

    def probe(self, path: str) -> int:
        """Returns the status of a path of the side port, 0 when nobody is there."""
        with self.side_connection() as connection:
            try:
                return connection.request("GET", path).status
            except AdqlError as error:
                return 0 if error.kind == "transport" else error.status

    def ended(self, seconds: float = 10.0) -> int:
        """Returns the exit code of a process that ends within ``seconds``."""
        return self.process.wait(seconds)


def launch(directory: Path, kind: str = "unix", start: str = "") -> Running:
    """Starts the process and returns at once."""
    names = ("main", "side")
    addresses = [f"unix:{directory}/{n}.sock" if kind == "unix" else f"http://127.0.0.1:{free_port()}" for n in names]
    command = [sys.executable, PROGRAM, *addresses, str(directory), start]
    return Running(subprocess.Popen(command, stderr=subprocess.PIPE, text=True), *addresses, directory)


@contextlib.contextmanager
def running(directory: Path, kind: str = "unix", token: str | None = None) -> Iterator[Running]:
    """Yields a service that is ready; ends it, whatever happened."""
    if token:
        (directory / "token").write_text(token)
    service = launch(directory, kind)
    try:
        wait_until(lambda: service.process.poll() is not None or service.probe("/readyz") == 200)
        yield service
    finally:
        service.process.kill()
        service.process.communicate()
