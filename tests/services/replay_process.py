"""A real replay service in a process of its own."""

import json
import random
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
from adql.wire.replay_client import ReplayClient
from adql_services.runtime.parent import tethered
from tests.services import side_port
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
        return subprocess.Popen(tethered([sys.executable, "-c", _PROGRAM, *arguments]), stderr=log)


@contextmanager
def started_replay(
    directory: Path, specification: RunSpecification, listen: str, **settings
) -> Iterator["subprocess.Popen[bytes]"]:
    """Yields a service that was just started; ends it, whatever happened."""
    process = start_replay(directory, specification, listen, **settings)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@dataclass
class RunningReplay:
    """A service that is ready."""

    address: str
    side: str
    process: "subprocess.Popen[bytes]"


@contextmanager
def running_replay(directory: Path, specification: RunSpecification, **settings) -> Iterator[RunningReplay]:
    """Starts the service, waits until it is ready, and ends it by SIGTERM, which must give exit code 0.

    After a failure it is killed.
    """
    address, side = f"unix:{directory}/replay.sock", f"unix:{directory}/side.sock"
    with started_replay(directory, specification, address, **settings) as process:
        wait_until_ready(process, side)
        yield RunningReplay(address, side, process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) in (0, -signal.SIGKILL), (directory / "log").read_text()


def wait_until_ready(process: "subprocess.Popen[bytes]", side: str) -> None:
    """Returns when /readyz answers 200."""
    wait_until(lambda: process.poll() is not None or side_port.probe(side) == 200)
    assert process.poll() is None, "the service ended"
