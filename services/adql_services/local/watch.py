"""Asks the services of a local run how it goes."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adql.errors import AdqlError
from adql.wire import routes
from adql.wire.connection import Connection
from adql_services.local.addresses import Rendezvous
from adql_services.local.episodes import EpisodeTail
from adql_services.local.fleet import PARAMETER_SERVER, REPLAY

Tree = dict[str, Any]
TIMEOUT_SECONDS = 2.0
"""Of one question; short, since a run also ends when nobody answers."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What the services said and episodes.csv shows; empty before the first answer."""

    run: Tree = field(default_factory=dict)
    """GET /v1/run."""
    table: Tree = field(default_factory=dict)
    """GET /v1/table."""
    evaluations: tuple[Tree, ...] = ()
    """GET /v1/evaluations."""
    training_return: float | None = None
    """Mean return of the last training episodes."""

    @property
    def state(self) -> Tree:
        """The state of the run: status, version, clocks."""
        state: Tree = self.run.get("state", {})
        return state

    @property
    def status(self) -> str:
        """waiting, running, confirming, reached, budget or plateau."""
        return str(self.state.get("status", "waiting"))

    @property
    def environment_steps(self) -> int:
        """The run's clock."""
        return int(self.state.get("environment_steps", 0))

    @property
    def learner_steps(self) -> int:
        """The run's clock."""
        return int(self.state.get("learner_steps", 0))

    @property
    def learners(self) -> int:
        """Live sessions that push."""
        return int(self.state.get("learners", 0))

    @property
    def actors(self) -> int:
        """Live sessions that only act."""
        return sum(session["role"] == "actor" for session in self.sessions)

    @property
    def staleness(self) -> Tree:
        """Mean, p50, p99 and max; empty before the first update."""
        staleness: Tree = self.run.get("staleness") or {}
        return staleness

    @property
    def sessions(self) -> list[Tree]:
        """The live sessions by slot."""
        sessions: list[Tree] = self.run.get("sessions", [])
        return sessions

    @property
    def last_evaluation(self) -> Tree | None:
        """The newest result, confirmations included."""
        return self.evaluations[-1] if self.evaluations else None

    @property
    def is_evaluated(self) -> bool:
        """Whether the newest version was evaluated, and nothing waits for the evaluator."""
        evaluations = self.run.get("evaluations", {"waiting": 1})
        return not evaluations["waiting"] and evaluations["scheduled_learner_steps"] >= self.learner_steps


class Watch:
    """Polls; a service that does not answer just now leaves what was known."""

    def __init__(self, rendezvous: Rendezvous, episodes: Path) -> None:
        self._server = _connection(rendezvous, PARAMETER_SERVER)
        self._replay = _connection(rendezvous, REPLAY)
        self._tail = EpisodeTail(episodes)
        self._newest, self._reported = Observation(), 0

    def look(self) -> Observation:
        """Returns the newest that is known."""
        run = _ask(self._server, routes.RUN) or self._newest.run
        self._newest = Observation(
            run,
            _ask(self._replay, routes.TABLE) or self._newest.table,
            self._evaluations(run),
            self._tail.mean_return(),
        )
        return self._newest

    def _evaluations(self, run: Tree) -> tuple[Tree, ...]:
        reported = run.get("evaluations", {}).get("reported", 0)
        if reported == self._reported or (answer := _ask(self._server, routes.EVALUATIONS)) is None:
            return self._newest.evaluations
        self._reported = reported
        return tuple(answer)


def _connection(rendezvous: Rendezvous, name: str) -> Connection:
    return Connection(rendezvous.socket(name), token=rendezvous.token, timeout_seconds=TIMEOUT_SECONDS)


def _ask(connection: Connection, path: str) -> Any:
    try:
        return json.loads(bytes(connection.request("GET", path).body))
    except AdqlError:
        return None
