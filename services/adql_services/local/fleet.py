"""Which processes a local run has, and with what settings each is started."""

import sys
from pathlib import Path
from typing import Literal

from adql.config import (
    EvaluatorSettings,
    LearnerSettings,
    ParameterServerSettings,
    ReplayServerSettings,
    RunSpecification,
    ServiceSettings,
    child_environment,
    load_settings,
)
from adql_services.local.addresses import Rendezvous
from adql_services.local.processes import Child
from adql_services.local.run_directory import RunDirectory

PARAMETER_SERVER, REPLAY, EVALUATOR = "parameter-server", "replay", "evaluator"
ACTOR_LEARNERS = ("learner-", "actor-")
"""How the names of those begin that act or learn."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class Fleet:
    """Makes the children of one run; they log as this process was asked to."""

    def __init__(
        self,
        specification: RunSpecification,
        directory: RunDirectory,
        rendezvous: Rendezvous,
        redis_url: str,
        redis_password_file: Path | None = None,
    ) -> None:
        self._specification, self._directory, self._rendezvous = specification, directory, rendezvous
        self._redis_url, self._redis_password_file = redis_url, redis_password_file
        self._log_format = load_settings(ServiceSettings).log_format

    def children(self) -> list[Child]:
        """Returns all of them, in the order of starting: those that are asked first."""
        training = self._specification.training
        learners = [self.learner(number) for number in range(training.learners)]
        actors = [self.actor(number) for number in range(training.actors)]
        return [self._parameter_server(), self._replay(), *learners, *actors, self._evaluator()]

    def learner(self, number: int) -> Child:
        """Returns learner ``number`` (0, 1, …), which only learns where there are actors."""
        return self._actor_learner(f"learner-{number}", "learner" if self._specification.training.actors else "both")

    def actor(self, number: int) -> Child:
        """Returns actor ``number`` (0, 1, …)."""
        return self._actor_learner(f"actor-{number}", "actor")

    def _actor_learner(self, name: str, role: Literal["both", "learner", "actor"]) -> Child:
        settings = LearnerSettings(
            role=role,
            token_file=self._rendezvous.token_file,
            side=self._rendezvous.socket(f"{name}-side"),
            parameter_server_url=self._rendezvous.socket(PARAMETER_SERVER),
            replay_url=self._rendezvous.socket(REPLAY),
        )
        return self._child(name, "learner", settings)

    def _parameter_server(self) -> Child:
        settings = ParameterServerSettings(
            token_file=self._rendezvous.token_file,
            listen=self._rendezvous.socket(PARAMETER_SERVER),
            side=self._rendezvous.socket(f"{PARAMETER_SERVER}-side"),
            directory=self._directory.path,
            redis_url=self._redis_url,
            redis_password_file=self._redis_password_file,
        )
        return self._child(PARAMETER_SERVER, PARAMETER_SERVER, settings)

    def _replay(self) -> Child:
        settings = ReplayServerSettings(
            token_file=self._rendezvous.token_file,
            listen=self._rendezvous.socket(REPLAY),
            side=self._rendezvous.socket(f"{REPLAY}-side"),
            directory=self._directory.replay,
        )
        return self._child(REPLAY, REPLAY, settings)

    def _evaluator(self) -> Child:
        settings = EvaluatorSettings(
            token_file=self._rendezvous.token_file,
            side=self._rendezvous.socket(f"{EVALUATOR}-side"),
            parameter_server_url=self._rendezvous.socket(PARAMETER_SERVER),
        )
        return self._child(EVALUATOR, EVALUATOR, settings)

    def _child(self, name: str, service: str, settings: ServiceSettings) -> Child:
        command = [sys.executable, "-m", "adql_services.cli", service, str(self._directory.specification.absolute())]
        log = self._directory.logs / f"{name}.log"
        settings = settings.model_copy(update={"log_format": self._log_format})
        return Child(name, command, child_environment(settings) | ONE_THREAD, log)
