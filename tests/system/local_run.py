"""A real ``adql train`` that is learning, and what its services say of it."""

import json
from pathlib import Path
from typing import Any

import psutil

from adql.errors import AdqlError
from adql.wire import routes
from adql.wire.connection import Connection
from tests.system.launched import Launched
from tests.waiting import wait_until

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


class TrainProcess(Launched):
    """``adql train`` under way in ``directory``; as a context manager it leaves no process behind."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self.directory = directory
        super().__init__(directory.with_name(f"{directory.name}.log"), "train", "--output", directory, *arguments)

    def __enter__(self) -> "TrainProcess":
        return self

    def __exit__(self, *_: object) -> None:
        left = list(self.children().values()) if self.process.poll() is None else []
        self.process.kill()
        self.process.wait()
        psutil.wait_procs(left, timeout=10)  # they end with their parent

    def find(self, name: str) -> psutil.Process | None:
        """Returns the process of a service, None while there is none."""
        return self.children().get(name)

    def service(self, name: str) -> psutil.Process:
        """Returns the process of a service: parameter-server, replay, evaluator, learner-0, learner-1, store."""
        process = wait_until(lambda: self.find(name))
        assert process is not None
        return process

    def ask(self, service: str, path: str) -> dict[str, Any]:
        """Returns the JSON that a service answers, {} while it does not."""
        try:
            environment = self.service(service).environ()
            token = Path(environment["ADQL_TOKEN_FILE"]).read_text().strip()
            with Connection(environment["ADQL_LISTEN"], token=lambda: token, timeout_seconds=5) as connection:
                return json.loads(bytes(connection.request("GET", path).body))
        except (AdqlError, psutil.Error, OSError, KeyError):
            return {}

    def metric(self, service: str, name: str) -> float | None:
        """Returns a metric without labels from the side port of a service, None while it does not answer."""
        try:
            side = self.service(service).environ()["ADQL_SIDE"]
            with Connection(side, token=lambda: None, timeout_seconds=5) as connection:
                lines = bytes(connection.request("GET", routes.METRICS).body).decode().splitlines()
        except (AdqlError, psutil.Error, OSError, KeyError):
            return None
        return next((float(line.split()[1]) for line in lines if line.startswith(f"{name} ")), None)

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
        wait_until(lambda: self.learner_steps() >= goal)
        return self.learner_steps()

    def summary(self) -> dict[str, Any]:
        """summary.json."""
        return json.loads((self.directory / "summary.json").read_text())
