"""A real ``adql train`` in a process of its own, and its services as the operating system shows them."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from adql.errors import AdqlError
from adql.wire import routes
from adql.wire.connection import Connection

SMALL = (
    "network.hidden=[32]",
    "algorithm.batch_size=16",
    "replay.min_size=200",
    "evaluation.every_learner_steps=500",
    "evaluation.episodes=4",
    "evaluation.confirm_episodes=4",
    "durability.lease_seconds=2",
    "training.goal=10000",
)
"""A run that costs little and never reaches its goal."""


def wait_until(condition: Callable[[], Any], seconds: float = 30.0, what: str = "condition") -> Any:
    """Returns the first true value of ``condition``; fails after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(0.02)
    return value


class TrainProcess:
    """``adql train`` under way; used as a context manager, it leaves no process behind."""

    def __init__(self, directory: Path, *arguments: str, command: str = "train") -> None:
        self.directory = directory
        place = ["--output", str(directory)] if command == "train" else [str(directory)]
        words = [sys.executable, "-m", "adql_services.cli", command, *place, *arguments]
        self.log = directory.with_name(f"{directory.name}-{command}.log")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._launcher = psutil.Process(self.process.pid)

    def __enter__(self) -> "TrainProcess":
        return self

    def __exit__(self, *_: object) -> None:
        left = self._launcher.children(recursive=True) if self._launcher.is_running() else []
        self.process.kill()
        self.process.wait()
        for child in left:
            if child.is_running():
                child.kill()
        psutil.wait_procs(left, timeout=10)

    def service(self, name: str) -> psutil.Process:
        """Returns the process of a service: parameter-server, replay, evaluator, learner-0, learner-1, store."""
        return wait_until(lambda: self.find(name), what=f"{name} is started")

    def find(self, name: str) -> psutil.Process | None:
        """Returns the process of a service, None while there is none."""
        return next((child for child in self._launcher.children() if _service_of(child) == name), None)

    def ask(self, service: str, path: str) -> dict[str, Any]:
        """Returns the JSON that a service answers, {} while it does not."""
        try:
            environment = self.service(service).environ()
            token = Path(environment["ADQL_TOKEN_FILE"]).read_text().strip()
            with Connection(environment["ADQL_LISTEN"], token=lambda: token, timeout_seconds=5) as connection:
                return json.loads(bytes(connection.request("GET", path).body))
        except (AdqlError, psutil.Error, OSError, KeyError):
            return {}

    def run_state(self) -> dict[str, Any]:
        """GET /v1/run."""
        return self.ask("parameter-server", routes.RUN)

    def table(self) -> dict[str, Any]:
        """GET /v1/table."""
        return self.ask("replay", routes.TABLE)

    def learner_steps(self) -> int:
        """The run's clock."""
        return self.run_state().get("state", {}).get("learner_steps", 0)

    def until_learning(self, steps: int = 1) -> int:
        """Waits until ``steps`` more learner steps were applied; returns the clock then."""
        goal = self.learner_steps() + steps
        return wait_until(lambda: (now := self.learner_steps()) >= goal and now, what=f"{goal} learner steps")

    def interrupt(self) -> int:
        """Types Ctrl-C; returns the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)

    def summary(self) -> dict[str, Any]:
        """summary.json."""
        return json.loads((self.directory / "summary.json").read_text())


def _service_of(process: psutil.Process) -> str | None:
    try:
        environment, words = process.environ(), process.cmdline()
    except psutil.Error:
        return None
    if "adql_services.cli" not in words:
        return "store" if any("valkey" in word for word in words[:1]) else None
    side = environment.get("ADQL_SIDE", "")
    return Path(side).name.removesuffix(".sock").removesuffix("-side")
