"""Starts or goes on with a run: checks store and volume, and takes ownership by a commit under the next epoch."""

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from adql.config import ParameterServerSettings, RunSpecification
from adql.errors import InputError, RunFailedError, StoreUnavailableError
from adql.parameters.initial import initial_parameters, manifest_of
from adql.parameters.server import ParameterServer
from adql.parameters.size import state_bytes
from adql.parameters.state import Mark, State
from adql.parameters.store import WeightStore, open_store, way_out
from adql.parameters.volume import Volume, check_store
from adql.telemetry.logs import get_logger
from adql.types import Manifest
from adql_services.runtime.reminder import Reminder

MAX_TAKEOVERS = 100
"""Attempts to commit a new epoch while an older server still commits in between."""
_POLL_SECONDS = 0.1
_AWAY = "start it there, or set ADQL_REDIS_URL to where it is"


@dataclass(frozen=True, slots=True)
class Opened:
    """A run that this server owns: its epoch is committed."""

    machine: ParameterServer
    store: WeightStore
    volume: Volume
    owner: str
    """Random name of this process in the store."""
    state: State
    """What was committed on taking ownership."""


def open_run(
    specification: RunSpecification,
    settings: ParameterServerSettings,
    cancelled: Callable[[], bool] = lambda: False,
) -> Opened:
    """Takes ownership of the run; waits for a store that does not answer yet, until ``cancelled``.

    Raises:
        StoreNotDurableError: a setting of the store would lose acknowledged updates.
        StoreLostError: this server's volume knows more than the store.
        ConfigError: the run was started with another configuration.
        StoreUnavailableError: the store did not answer in time.
        InputError: the volume belongs to another run, or cannot be written.
    """
    machine = new_machine(specification)
    owner = secrets.token_hex(16)
    store = open_store(settings, specification.run.name, state_bytes=state_bytes(specification))
    with _volume_errors(settings.directory):
        volume = Volume(settings.directory, manifest(specification))
    deadline, reminder = time.monotonic() + settings.store_wait_seconds, Reminder(time.monotonic)
    while True:
        try:
            store.check_durable()
            with _volume_errors(settings.directory):
                return _take_over(specification, machine, store, volume, owner)
        except StoreUnavailableError as error:
            if time.monotonic() > deadline or cancelled():
                seconds = f"{settings.store_wait_seconds:g} s"
                waited = f"{store.address} was waited for {seconds}: {way_out(error, _AWAY)}"
                raise StoreUnavailableError(f"{error}; {waited}") from None
            if reminder.is_due():
                _say_waiting(store, error)
        time.sleep(_POLL_SECONDS)


def _say_waiting(store: WeightStore, error: StoreUnavailableError) -> None:
    hint = way_out(error, _AWAY)
    get_logger().warning("waiting for the weight store", address=store.address, error=str(error), hint=hint)


def new_machine(specification: RunSpecification) -> ParameterServer:
    """Returns a server at version 0 of a new run, made from the run's seed."""
    shape = manifest(specification)
    vector = initial_parameters(shape, specification.network, np.random.default_rng(specification.run.seed))
    return ParameterServer(
        specification,
        vector,
        run_id=secrets.token_hex(8),
        clock=time.monotonic,
        wall_clock=time.time,
        new_identifier=lambda: secrets.token_hex(16),
    )


def manifest(specification: RunSpecification) -> Manifest:
    """Returns how the run's flat vector is cut into arrays."""
    return manifest_of(specification.network, specification.signature)


@contextlib.contextmanager
def _volume_errors(directory: Path) -> Iterator[None]:
    """At its start a server needs its volume; later it goes on without."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"cannot write to {error.filename or directory}: {error.strerror}; "
            "give it room or rights, or set ADQL_DIRECTORY"
        ) from None


def _take_over(
    specification: RunSpecification, machine: ParameterServer, store: WeightStore, volume: Volume, owner: str
) -> Opened:
    volume.check_writable()  # a server that owns the run and then ends would take an epoch at every start
    for _ in range(MAX_TAKEOVERS):
        stored = store.read()
        check_store(volume.record(), stored, specification.run.name)
        if stored is not None:
            machine.load(stored)
        replaced = stored.mark if stored else None
        epoch, commit = (stored.mark.epoch + 1, stored.mark.commit + 1) if stored else (1, 1)
        state = machine.snapshot(Mark(epoch, machine.version.number, commit, owner))
        if store.commit(state, replaced) == state.mark:
            return _owned(Opened(machine, store, volume, owner, state))
    raise RunFailedError(f"another server of run {specification.run.name!r} keeps committing; stop it first")


def _owned(opened: Opened) -> Opened:
    machine = opened.machine
    opened.volume.remember(machine.identity, opened.state.mark)
    opened.volume.log.load(machine.evaluations)
    opened.volume.diary.load(machine.specification, machine.clocks)
    machine.committed(opened.state)
    machine.available = True
    return opened
