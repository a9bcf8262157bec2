"""Starts the small service as a real process."""

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from adql.wire.connection import Connection
from tests.ports import free_port
from tests.services import side_port
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
        return side_port.probe(self.side, path)

    def ended(self, seconds: float = 10.0) -> int:
        """Returns the exit code of a process that ends within ``seconds``."""
        return self.process.wait(seconds)


def command_of(listen: str, side: str, directory: Path, start: str = "") -> list[str]:
    """Returns the command that is the small service."""
    return [sys.executable, PROGRAM, listen, side, str(directory), start]


@contextlib.contextmanager
def started(command: list[str], listen: str, side: str, directory: Path) -> Iterator[Running]:
    """Yields a process that was just started; ends it, whatever happened."""
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield Running(process, listen, side, directory)
        finally:
            process.kill()


@contextlib.contextmanager
def launch(directory: Path, kind: str = "unix", start: str = "") -> Iterator[Running]:
    """Yields a small service that was just started; ends it, whatever happened."""
    names = ("main", "side")
    listen, side = (
        f"unix:{directory}/{n}.sock" if kind == "unix" else f"http://127.0.0.1:{free_port()}" for n in names
    )
    with started(command_of(listen, side, directory, start), listen, side, directory) as service:
        yield service


@contextlib.contextmanager
def running(directory: Path, kind: str = "unix", token: str | None = None) -> Iterator[Running]:
    """Yields a service that is ready; ends it, whatever happened."""
    if token:
        (directory / "token").write_text(token)
    with launch(directory, kind) as service:
        wait_until(lambda: service.process.poll() is not None or service.probe("/readyz") == 200)
        yield service
