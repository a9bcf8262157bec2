"""What a reading is made of: the parameter server's run and the replay service's table, over the wire."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from adql.config import ControllerSettings
from adql.errors import AdqlError, RateLimitedError, UnavailableError
from adql.types import OVER
from adql.wire import routes
from adql.wire.connection import PARAMETER_SERVER_URL, REPLAY_URL, Connection
from adql_services.controller.observation import Reading
from adql_services.runtime.worker import client_token

TIMEOUT_SECONDS = 5.0
"""Of one question: a round asks again anyway."""
T = TypeVar("T")


class _State(msgspec.Struct):
    run_id: str
    epoch: int
    status: str


class _Updates(msgspec.Struct):
    applied: int
    stale: int


class _Session(msgspec.Struct):
    role: str


class _Run(msgspec.Struct):
    """What is needed of GET /v1/run."""

    state: _State
    updates: _Updates
    sessions: list[_Session]
    staleness_counts: dict[str, int]
    staleness_bound: int


class _Table(msgspec.Struct):
    """What is needed of GET /v1/table."""

    error: float
    bound: float


class Sources:
    """One connection to each service; asks once, and leaves what comes of it to the next round."""

    def __init__(self, settings: ControllerSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._role, self._clock = settings.role, clock
        options: dict[str, Any] = {"token": client_token(settings), "timeout_seconds": TIMEOUT_SECONDS, "clock": clock}
        self._server = Connection(settings.parameter_server_url, variable=PARAMETER_SERVER_URL, **options)
        self._replay = Connection(settings.replay_url, variable=REPLAY_URL, **options)

    def read(self, replicas: int) -> Reading:
        """Returns how the run is now, with ``replicas`` learners asked for.

        Raises:
            UnavailableError: one of the two cannot be asked now.
        """
        run, table = _asked(self._server, routes.RUN, _Run), _asked(self._replay, routes.TABLE, _Table)
        return Reading(
            at=self._clock(),
            replicas=replicas,
            run_id=run.state.run_id,
            epoch=run.state.epoch,
            status=run.state.status,
            over=run.state.status in OVER,
            learners=sum(session.role == self._role for session in run.sessions),
            applied=run.updates.applied,
            stale=run.updates.stale,
            staleness={int(value): count for value, count in run.staleness_counts.items()},
            bound=run.staleness_bound,
            hunger=-table.error / table.bound if table.bound else 0.0,
        )

    def close(self) -> None:
        """Closes the connections."""
        self._server.close()
        self._replay.close()


def _asked(connection: Connection, path: str, kind: type[T]) -> T:
    """A service that has failed over one question may answer the next."""
    try:
        return connection.request("GET", path).parsed(kind)
    except AdqlError as error:
        if error.status >= 500 or isinstance(error, RateLimitedError):
            raise UnavailableError(str(error)) from None
        raise
