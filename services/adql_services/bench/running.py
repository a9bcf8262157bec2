"""A parameter server and its store as ``adql train`` starts them, seen from outside."""

import contextlib
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from adql.config import RunSpecification
from adql.errors import RunFailedError
from adql.parameters.size import state_bytes
from adql.wire import routes
from adql.wire.connection import Connection
from adql_services.local.addresses import Rendezvous
from adql_services.local.fleet import PARAMETER_SERVER, Fleet
from adql_services.local.processes import Child
from adql_services.local.run_directory import RunDirectory
from adql_services.local.store import LocalStore

READY_SECONDS = 60.0
STOP_SECONDS = 15.0


class Meeting(Rendezvous):
    """The parameter server listens on TCP where that is asked for."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self._address = f"http://127.0.0.1:{_free_port()}" if kind == "tcp" else super().socket(PARAMETER_SERVER)

    def socket(self, name: str) -> str:
        """Returns the address of the service ``name``."""
        return self._address if name == PARAMETER_SERVER else super().socket(name)


class Server:
    """The running server and its store."""

    def __init__(self, pid: int, store: LocalStore, meeting: Meeting) -> None:
        self._event_loop = Path(f"/proc/{pid}/task/{pid}/schedstat")
        self._process = psutil.Process(pid)
        assert store.pid is not None
        self.store = psutil.Process(store.pid)
        self.address, self.token = meeting.socket(PARAMETER_SERVER), meeting.token
        self._side = meeting.socket(f"{PARAMETER_SERVER}-side")

    def event_loop_milliseconds(self) -> float:
        """CPU time of the main thread; psutil tells it in steps of 10 ms only."""
        return int(self._event_loop.read_text().split()[0]) / 1e6

    def cpu_seconds(self) -> float:
        """CPU time of all threads."""
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def commits(self) -> tuple[int, float]:
        """Returns how many there were, and their seconds."""
        with Connection(self._side, token=lambda: None) as side:
            lines = bytes(side.request("GET", routes.METRICS).body).decode().splitlines()
        values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return int(float(values["adql_commit_seconds_count"])), float(values["adql_commit_seconds_sum"])

    def is_ready(self) -> bool:
        """Asks the side port."""
        with contextlib.suppress(Exception), Connection(self._side, token=lambda: None) as side:
            return side.request("GET", routes.READYZ).status == 200
        return False


@contextlib.contextmanager
def running_server(run: RunSpecification, kind: str, folder: Path) -> Iterator[Server]:
    """Yields a server that listens on ``kind`` (tcp or unix), and its store, with their files in ``folder``."""
    meeting = Meeting(kind)
    store = LocalStore(folder / "store", state_bytes=state_bytes(run))
    store.start()
    child = Fleet(run, RunDirectory.create(folder / "run", run, ["bench"]), meeting, store.url).children()[0]
    child.start()
    try:
        assert child.name == PARAMETER_SERVER and child.pid is not None
        server = Server(child.pid, store, meeting)
        _wait_until_ready(server, child)
        yield server
    finally:
        child.send(signal.SIGTERM)
        if not child.wait(STOP_SECONDS):
            child.kill()
        store.close()
        meeting.remove()


def _wait_until_ready(server: Server, child: Child) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not server.is_ready():
        if child.exit_code() is not None or time.monotonic() > deadline:
            raise RunFailedError(f"the parameter server does not answer: {child.last_words()}")
        time.sleep(0.01)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
