"""An evaluator's side of the parameter server: takes versions to evaluate, reports what came of them."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from adql.config.identity import check_same_hash
from adql.errors import AdqlError
from adql.types import ArraySpec, Parameters, RunState, Version
from adql.wire import codec, routes
from adql.wire.connection import PARAMETER_SERVER_URL, Connection, Response, Token
from adql.wire.retry import Backoff, call_with_retry
from adql.wire.run_state import from_headers, same_run

_JSON = {"Content-Type": routes.JSON}
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class EvaluationTask:
    """Greedy episodes to be played with one committed version."""

    id: int
    purpose: str
    """periodic or confirm."""
    episodes: int
    seed: int
    """The episodes are seeded with seed, seed + 1, …"""
    parameters: Parameters
    learner_steps: int
    environment_steps: int


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """What came of a task: one entry an episode in each sequence."""

    id: int
    version: Version
    """That was played; the server takes no result for another one."""
    returns: Sequence[float]
    lengths: Sequence[int]
    successes: Sequence[bool] | None
    """None where success has no meaning."""
    seconds: float


class EvaluationClient:
    """Asks and reports until answered: network errors, 429 and 503 are retried; ``sleep`` may raise to give up.

    Every method raises OtherRunError once the server answers for another run than before.
    """

    def __init__(
        self,
        address: str,
        *,
        token: Token,
        size: int,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        rng: random.Random,
        timeout_seconds: float = 60.0,
        on_retry: Callable[[AdqlError], None] = lambda error: None,
        on_success: Callable[[], None] = lambda: None,
    ) -> None:
        self._arrays = [ArraySpec("parameters", (size,))]
        self._connection = Connection(
            address, token=token, timeout_seconds=timeout_seconds, clock=clock, variable=PARAMETER_SERVER_URL
        )
        self._backoff = Backoff(clock, sleep, rng)
        self._on_retry, self._on_success = on_retry, on_success
        self._state: RunState | None = None

    @property
    def state(self) -> RunState | None:
        """The run as the newest answer told it; None before the first."""
        return self._state

    @property
    def reconnects(self) -> int:
        """Connections that were made again after one was lost."""
        return max(0, self._connection.connects - 1)

    def check_configuration(self, config_hash: str) -> None:
        """Asks which configuration the run has.

        Raises:
            WrongRunError: another than ``config_hash``.
        """
        run = self._retried(lambda: self._requested("GET", routes.RUN).parsed(_Run))
        check_same_hash(config_hash, run.config_hash, run.keys)

    def next(self, wait_seconds: float = 0.0) -> EvaluationTask | None:
        """Returns what to evaluate now, None if there is nothing after ``wait_seconds``."""
        wait = min(wait_seconds, routes.MAX_WAIT_SECONDS)
        path = f"{routes.NEXT_EVALUATION}?wait={wait:g}"
        return self._retried(lambda: self._given(self._requested("GET", path, wait_seconds=wait)))

    def report(self, result: EvaluationResult) -> bool:
        """Reports a result of the run that gave the task; returns False if it does not wait for it, or no longer."""
        if self._state is None:
            raise RuntimeError("no run gave a task yet; next() first")
        body = {
            "run_id": self._state.run_id,
            "id": result.id,
            "epoch": result.version.epoch,
            "version": result.version.number,
            "returns": list(result.returns),
            "lengths": list(result.lengths),
            "successes": None if result.successes is None else list(result.successes),
            "seconds": result.seconds,
        }
        return self._retried(lambda: self._reported([msgspec.json.encode(body)]))

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()

    def _given(self, response: Response) -> EvaluationTask | None:
        return None if response.status == 204 else _task(response.message(self._arrays))

    def _reported(self, body: Sequence[codec.Buffer]) -> bool:
        return self._requested("POST", routes.EVALUATIONS, headers=_JSON, body=body).parsed(_Receipt).taken

    def _retried(self, operation: Callable[[], T]) -> T:
        return call_with_retry(
            operation, self._backoff, deadline_seconds=None, on_retry=self._on_retry, on_success=self._on_success
        )

    def _requested(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Sequence[codec.Buffer] = (),
        wait_seconds: float = 0.0,
    ) -> Response:
        response = self._connection.request(method, path, headers=headers, body=body, wait_seconds=wait_seconds)
        self._state = same_run(self._state, from_headers(response.headers))
        return response


class _Receipt(msgspec.Struct):
    """The answer to a report."""

    taken: bool


class _Run(msgspec.Struct):
    """What an evaluator needs of the run's description."""

    config_hash: str
    keys: dict[str, Any] | None = None
    """Those that define the run; None from a server that does not tell them."""


def _task(message: codec.Message) -> EvaluationTask:
    version = Version(message.integer("epoch"), message.integer("version"))
    return EvaluationTask(
        message.integer("id"),
        message.text("purpose"),
        message.integer("episodes", 1),
        message.integer("seed"),
        Parameters(version, message.arrays["parameters"].copy()),
        message.integer("learner_steps"),
        message.integer("environment_steps"),
    )
