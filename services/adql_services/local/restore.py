"""``adql restore``: puts a lost weight store back from the newest checkpoint."""

import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adql.errors import CheckpointError, InputError, RunFailedError
from adql.parameters.checkpoints import Checkpoints
from adql.parameters.restoring import restored
from adql.parameters.state import State
from adql.parameters.store import WeightStore
from adql.parameters.watermark import VolumeRecord, Watermark
from adql_services.local.keeper import connect, named_store
from adql_services.local.run_directory import RunDirectory, looking_into
from adql_services.local.store import LocalStore


def restore(path: Path) -> int:
    """Puts the store of the run in ``path`` back; the embedded one, or that of ADQL_REDIS_URL. Returns 0.

    Raises:
        InputError: no run, no checkpoint that can be read, or the store has lost nothing.
    """
    directory = RunDirectory(path)
    with looking_into(path):
        if not directory.checkpoints.is_dir():
            raise InputError(
                f"{path} holds no checkpoints; name the DIR of an `adql train`, or a parameter server's volume"
            )
    directory.lock()
    checkpoint = Checkpoints(directory.checkpoints).read_newest()
    with _store(directory, checkpoint.record.identity.name) as store:
        state = _put_back(directory, store, checkpoint)
    sys.stdout.write(
        f"{path}: the store holds version {state.mark.version} again, at {state.record.learner_steps} learner steps "
        f"and {state.record.clocks.environment_steps} environment steps; go on with `adql resume {path}`\n"
    )
    return 0


def _put_back(directory: RunDirectory, store: WeightStore, checkpoint: State) -> State:
    mark, held = store.mark(), _readable(store)
    watermark = Watermark(directory.watermark)
    known, watermark_lost = _known(watermark)
    damaged = mark if held is None else None
    owner = secrets.token_hex(16)
    state = restored(checkpoint, held, known, owner, damaged=damaged, watermark_lost=watermark_lost)
    if store.commit(state, mark) != state.mark:
        raise RunFailedError("a server committed to the store meanwhile: it is in use; stop that server first")
    identity, new = state.record.identity, state.mark
    watermark.write(VolumeRecord(identity.name, identity.run_id, new.epoch, new.number, new.commit))
    return state


def _readable(store: WeightStore) -> State | None:
    """A stored state that is damaged is as good as lost."""
    try:
        return store.read()
    except CheckpointError:
        return None


def _known(watermark: Watermark) -> tuple[VolumeRecord | None, bool]:
    """Returns what the volume knows, and whether its record is damaged: one more thing that was lost."""
    try:
        return watermark.read(), False
    except CheckpointError:
        return None, True


@contextmanager
def _store(directory: RunDirectory, run: str) -> Iterator[WeightStore]:
    named = named_store()
    if named is not None:
        store = connect(named, run)
        yield store
        store.close()
        return
    embedded = _started(directory)
    try:
        store = WeightStore(embedded.url, run)
        yield store
        store.close()
    finally:
        embedded.close()


def _started(directory: RunDirectory) -> LocalStore:
    """A store whose files cannot be read is put aside, never deleted."""
    embedded = LocalStore(directory.store)
    try:
        embedded.start()
    except RunFailedError as error:
        aside = directory.store.with_name(f"store-damaged-{int(time.time())}")
        directory.store.rename(aside)
        sys.stdout.write(f"{error}; its files are kept in {aside}\n")
        embedded.start()
    return embedded
