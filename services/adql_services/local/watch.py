"""Asks the services of a local run how it goes."""

import json
from dataclasses import dataclass, field
from typing import Any

from adql.errors import AdqlError
from adql.wire import routes
from adql.wire.connection import Connection
from adql_services.local.addresses import Rendezvous
from adql_services.local.fleet import PARAMETER_SERVER, REPLAY

Tree = dict[str, Any]
TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Observation:
    """What GET /v1/run and GET /v1/table said; empty before the first answer."""

    run: Tree = field(default_factory=dict)
    table: Tree = field(default_factory=dict)

    @property
    def state(self) -> Tree:
        """The state of the run: status, version, clocks."""
        state: Tree = self.run.get("state", {})
        return state

    @property
    def status(self) -> str:
        """waiting, running, confirming, reached or budget."""
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
    def evaluations_pending(self) -> bool:
        """True while an evaluation waits to be played or reported."""
        return bool(self.run.get("evaluations", {}).get("waiting", 0))


class Watch:
    """Polls; a service that does not answer just now leaves what was known."""

    def __init__(self, rendezvous: Rendezvous) -> None:
        self._server = _connection(rendezvous, PARAMETER_SERVER)
        self._replay = _connection(rendezvous, REPLAY)
        self._newest = Observation()

    def look(self) -> Observation:
        """Returns the newest that is known."""
        self._newest = Observation(
            _ask(self._server, routes.RUN) or self._newest.run,
            _ask(self._replay, routes.TABLE) or self._newest.table,
        )
        return self._newest


def _connection(rendezvous: Rendezvous, name: str) -> Connection:
    return Connection(rendezvous.socket(name), token=rendezvous.token, timeout_seconds=TIMEOUT_SECONDS)


def _ask(connection: Connection, path: str) -> Tree | None:
    try:
        answer: Tree = json.loads(bytes(connection.request("GET", path).body))
    except AdqlError:
        return None
    return answer
