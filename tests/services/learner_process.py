"""A real `adql learner`, and the real services that it talks to."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from adql.config import LearnerSettings, RunSpecification, child_environment, to_yaml
from adql.wire import routes
from tests.services import side_port
from tests.services.parameter_process import ServerProcess
from tests.services.replay_process import RunningReplay, running_replay
from tests.waiting import wait_until


@dataclass
class Services:
    """What a learner talks to."""

    server: ServerProcess
    replay: RunningReplay
    directory: Path

    @property
    def sessions(self) -> list[dict[str, Any]]:
        return self.server.get(routes.RUN)["sessions"]

    @property
    def state(self) -> dict[str, Any]:
        return self.server.get(routes.RUN)["state"]

    def start(self, role: str) -> "Process":
        """Starts `adql learner` in ``role``."""
        return Process(self, role)


class Process:
    """One `adql learner` of a role."""

    def __init__(self, services: Services, role: str) -> None:
        self.side, self._log = f"unix:{services.directory}/learner.sock", services.directory / "learner.log"
        settings = LearnerSettings(
            role=role,
            side=self.side,
            parameter_server_url=services.server.listen,
            replay_url=services.replay.address,
            auth=False,
        )
        file = services.directory / "run.yaml"
        file.write_text(to_yaml(services.server.specification))
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "adql_services.cli", "learner", str(file)],
                env=child_environment(settings),
                stderr=log,
            )

    def until_ready(self) -> "Process":
        wait_until(self._is_ready, what=self._log.read_text)
        return self

    def log(self) -> str:
        """Everything that the process wrote."""
        return self._log.read_text()

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, self._log.read_text()
        return side_port.probe(self.side) == 200

    def cpu_seconds(self) -> float:
        times = psutil.Process(self.process.pid).cpu_times()
        return times.user + times.system

    def end(self) -> int:
        """Asks it to end; returns the exit code that it has within 10 seconds."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10)

    def outcome(self) -> tuple[int, str]:
        """Returns the exit code of a process that ends by itself, and its last line."""
        return self.process.wait(30), self._log.read_text().splitlines()[-1]

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def running(directory: Path, redis_url: str, spec: RunSpecification, name: str) -> Iterator[Services]:
    spec = spec.model_copy(update={"run": spec.run.model_copy(update={"name": name})})
    with ServerProcess(directory / "server", spec, redis_url) as server, running_replay(directory, spec) as replay:
        yield Services(server, replay, directory)
