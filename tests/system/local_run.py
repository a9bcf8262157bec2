"""A real ``adql train`` that is learning, and what its services say of it."""

import json
from pathlib import Path
from typing import Any

import psutil

from adql.errors import AdqlError
from adql.wire import routes
from adql.wire.connection import Connection
from tests.services.metrics_page import MetricsPage, scrape
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
        self.kill()

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

    def page(self, service: str) -> MetricsPage:
        """Returns the metrics of a service as soon as it answers."""
        return wait_until(lambda: self._scraped(service), what=self.said)

    def _scraped(self, service: str) -> MetricsPage | None:
        try:
            return scrape(self.service(service).environ()["ADQL_SIDE"])
        except (AdqlError, psutil.Error, OSError, KeyError):
            return None

    def has_again(self, name: str, old: psutil.Process) -> bool:
        """Whether another process than ``old`` is the service ``name`` now."""
        new = self.find(name)
        return new is not None and new.pid != old.pid

    def run_state(self) -> dict[str, Any]:
        """GET /v1/run, {} while nobody answers."""
        return self.ask("parameter-server", routes.RUN)

    def sessions(self) -> list[dict[str, Any]]:
        """The live sessions, none while nobody answers."""
        return self.run_state().get("sessions", [])

    def state(self) -> dict[str, Any]:
        """The state of the run as soon as the parameter server answers."""
        return wait_until(self.run_state, what=self.said)["state"]

    def table_size(self) -> int:
        """How much the replay table holds as soon as it answers."""
        return wait_until(lambda: self.ask("replay", routes.TABLE), what=self.said)["size"]

    def learner_steps(self) -> int:
        """The run's clock as soon as the parameter server answers."""
        return self.state()["learner_steps"]

    def until_learning(self, steps: int = 1) -> None:
        """Waits until ``steps`` more learner steps were applied."""
        goal = self.learner_steps() + steps
        wait_until(lambda: self.learner_steps() >= goal, what=self.said)

    def summary(self) -> dict[str, Any]:
        """summary.json."""
        return json.loads((self.directory / "summary.json").read_text())
