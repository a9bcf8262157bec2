"""Wires the replay service: table, snapshots, application; restores at start, snapshots now and at the end."""

import asyncio
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import numpy as np

from adql.config import ReplayServerSettings, RunSpecification, config_hash
from adql.config.identity import identity_keys
from adql.errors import AdqlError, InputError
from adql.files import hold_lock
from adql.replay import (
    PrioritisedSelector,
    RateLimiter,
    ReplayTable,
    Selector,
    Sessions,
    Snapshots,
    TransitionSchema,
    UniformSelector,
)
from adql.telemetry import logs, metrics
from adql.telemetry.logs import get_logger
from adql.wire.replay_format import check_table, frame_array, frame_room, transition_columns
from adql_services.replay.app import make_app
from adql_services.replay.service import ReplayService
from adql_services.runtime.serving import serve
from adql_services.runtime.shutdown import Shutdown
from adql_services.runtime.side_port import Health
from adql_services.runtime.tokens import Tokens

LOCK = ".lock"


def run(specification: RunSpecification, settings: ReplayServerSettings) -> int:
    """Serves until asked to end; ``specification`` has its signature. Returns the exit code.

    Raises:
        InputError: settings that cannot work; nothing was started.
    """
    logs.configure(settings.log_format, "replay")
    _lock(settings.directory)
    snapshots = Snapshots(settings.directory, f"{specification.run.name} {config_hash(specification)}")
    table = make_table(specification, _incarnation(snapshots, settings.directory))
    service = ReplayService(table, snapshots, config_hash(specification), identity_keys(specification))
    if specification.replay.samples_per_insert is not None:
        metrics.REPLAY_TARGET.set(specification.replay.samples_per_insert)
    app = make_app(service, specification, Tokens.of(settings))
    lifetime = _Lifetime(service, specification.replay.snapshot_seconds, app.state.shutdown)
    return serve(
        app, settings, health=Health(), page=metrics.REPLAY_PAGE, started=lifetime.begin, stopping=lifetime.end
    )


def make_table(specification: RunSpecification, incarnation: int) -> ReplayTable:
    """Returns the empty table that ``specification`` describes.

    Raises:
        ConfigError: a capacity that does not fit its bytes, or limits that would lock up.
    """
    replay, signature = specification.replay, specification.signature
    schema = TransitionSchema(
        transition_columns(signature), signature.actions, signature.observations, frame_array(signature)
    )
    limiter = RateLimiter(
        samples_per_insert=replay.samples_per_insert,
        min_size=replay.min_size,
        capacity=specification.replay_capacity,
        max_error=replay.max_error,
        request=specification.algorithm.batch_size * replay.batches_per_request,
        chunk=replay.chunk_transitions,
    )
    check_table(specification)
    return ReplayTable(
        schema,
        _make_selector(specification),
        limiter,
        Sessions(specification.durability.lease_seconds, time.monotonic),
        capacity=specification.replay_capacity,
        incarnation=incarnation,
        rng=np.random.default_rng([specification.run.seed, incarnation]),
        frame_room=frame_room(specification),
    )


class _Lifetime:
    """What the service does beside answering: restore first, snapshots now and then, one at the end."""

    def __init__(self, service: ReplayService, snapshot_seconds: float | None, shutdown: Shutdown) -> None:
        self._service, self._snapshot_seconds, self._shutdown = service, snapshot_seconds, shutdown
        self._tasks: list[asyncio.Task[None]] = []

    async def begin(self) -> None:
        """Restores the table and starts what runs beside the answers."""
        await self._service.restore()
        self._begin("gauges", self._service.publish_regularly())
        if self._snapshot_seconds is not None:
            self._begin("periodic snapshots", self._service.snapshot_regularly(self._snapshot_seconds))

    async def end(self) -> None:
        """Writes the last snapshot, after one that is under way: a thread that writes cannot be called back.

        Raises:
            UnavailableError: it cannot be written; says whether an earlier snapshot stands.
        """
        try:
            await self._service.snapshot()
        finally:
            for task in self._tasks:
                task.cancel()

    def _begin(self, what: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=what)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """What should run for ever must not end unseen: the service ends with the reason."""
        if not task.cancelled() and (error := task.exception()) is not None:
            get_logger().error("a background task failed", task=task.get_name(), exc_info=error)
            self._shutdown.begin(AdqlError(f"the task of {task.get_name()} failed: {error!r}"))


def _make_selector(specification: RunSpecification) -> Selector:
    replay, capacity = specification.replay, specification.replay_capacity
    if replay.sampler == "prioritised":
        return PrioritisedSelector(capacity, replay.priority_exponent)
    return UniformSelector(capacity)


def _lock(directory: Path) -> None:
    """Keeps a second service off the snapshots in ``directory`` for as long as this process lives.

    Raises:
        InputError: another service has it, or it cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        free = hold_lock(directory / LOCK) is not None
    except OSError as error:
        raise _unwritable(directory, error) from None
    if not free:
        raise InputError(
            f"ADQL_DIRECTORY={directory} is in use by another replay service, whose snapshots would be overwritten; "
            "set ADQL_DIRECTORY to another directory or stop that service"
        )


def _unwritable(directory: Path, error: OSError) -> InputError:
    return InputError(f"cannot write to {directory}: {error.strerror}; give it room or rights, or set ADQL_DIRECTORY")


def _incarnation(snapshots: Snapshots, directory: Path) -> int:
    """The first one is the time: a volume that was lost does not bring an old incarnation back."""
    try:
        return snapshots.next_incarnation(first=int(time.time()))
    except OSError as error:
        raise _unwritable(directory, error) from None
