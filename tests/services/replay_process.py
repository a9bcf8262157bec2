"""A real replay service in a process of its own."""

import json
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adql.config import RunSpecification, config_hash, specification_from
from adql.errors import UnavailableError
from adql.wire import routes
from adql.wire.connection import Connection
from adql.wire.replay_client import ReplayClient
from tests.waiting import wait_until

SIGNATURE = {"observation_shape": [4], "actions": 3}

_PROGRAM = """
import json
import sys
from adql.config import ReplayServerSettings, load_settings, specification_from
from adql_services.replay.main import run
specification, settings = json.loads(sys.argv[1]), json.loads(sys.argv[2])
sys.exit(run(specification_from(specification), load_settings(ReplayServerSettings, settings, {})))
"""


def replay_run(batch_size: int = 32, **replay) -> RunSpecification:
    """Returns a run with a table of ``replay`` for the transitions of ``tests.replay.tables``."""
    replay = {"capacity": 2_000, "min_size": 100, "samples_per_insert": None, **replay}
    return specification_from(
        {"environment": {"signature": SIGNATURE}, "algorithm": {"batch_size": batch_size}, "replay": replay}
    )


FREE = replay_run(sampler="prioritised")
"""A run whose table limits nobody."""


def replay_client(address: str, run: RunSpecification, token: str | None = None, **settings: Any) -> ReplayClient:
    """Returns the real client of ``run``'s table at ``address``."""
    given = {"signature": run.environment.signature, "session": "a", "config_hash": config_hash(run)}
    given |= {"clock": time.monotonic, "sleep": time.sleep, "rng": random.Random(1)}
    return ReplayClient(address, token=lambda: token, **(given | settings))


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


def wait_until_ready(process: "subprocess.Popen[bytes]", side: str) -> None:
    """Returns when /readyz answers 200."""
    wait_until(lambda: process.poll() is not None or _is_ready(side))
    assert process.poll() is None, "the service ended"


def _is_ready(side: str) -> bool:
    with Connection(side, token=lambda: None) as connection:
        try:
            return connection.request("GET", routes.READYZ).status == 200
        except UnavailableError:
            return False
