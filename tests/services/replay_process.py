"""A real replay service in a process of its own."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from adql.config import RunSpecification
from adql.errors import UnavailableError
from adql.wire import routes
from adql.wire.connection import Connection

_PROGRAM = """
import json
import sys
from adql.config import ReplayServerSettings, load_settings, specification_from
from adql_services.replay.main import run
specification, settings = json.loads(sys.argv[1]), json.loads(sys.argv[2])
sys.exit(run(specification_from(specification), load_settings(ReplayServerSettings, settings, {})))
"""


def start_replay(directory: Path, specification: RunSpecification, listen: str, **settings) -> subprocess.Popen[bytes]:
    """Starts the service on ``listen``; its volume and its log lie in ``directory``."""
    own = {
        "listen": listen,
        "side": f"unix:{directory}/side.sock",
        "directory": str(directory / "volume"),
        "auth": False,
    }
    arguments = [json.dumps(specification.model_dump(mode="json")), json.dumps(own | settings)]
    with (directory / "log").open("ab") as log:
        return subprocess.Popen([sys.executable, "-c", _PROGRAM, *arguments], stderr=log)


def free_port() -> int:
    """Returns a TCP port that was free just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class RunningReplay:
    """A service that is ready."""

    address: str
    side: str
    process: "subprocess.Popen[bytes]"

    def resident_bytes(self) -> int:
        """Returns the process's memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024


@contextmanager
def running_replay(directory: Path, specification: RunSpecification, **settings) -> Iterator[RunningReplay]:
    """Starts the service, waits until it is ready, and ends it by SIGTERM, which must give exit code 0."""
    address, side = f"unix:{directory}/replay.sock", f"unix:{directory}/side.sock"
    process = start_replay(directory, specification, address, **settings)
    try:
        wait_until_ready(process, side)
        yield RunningReplay(address, side, process)
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(20)
    assert code in (0, -signal.SIGKILL), (directory / "log").read_text()


def wait_until_ready(process: "subprocess.Popen[bytes]", side: str, seconds: float = 30.0) -> None:
    """Returns when /readyz answers 200."""
    connection, deadline = Connection(side, token=lambda: None), time.monotonic() + seconds
    while True:
        try:
            connection.request("GET", routes.READYZ)
        except UnavailableError:
            assert process.poll() is None, "the service ended"
            assert time.monotonic() < deadline, "the service was not ready in time"
            time.sleep(0.02)
        else:
            connection.close()
            return
