"""``adql restore``: puts a lost weight store back from the newest checkpoint."""

import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from adql.errors import CheckpointError, InputError, RunFailedError, StoreLostError
from adql.parameters.checkpoints import Checkpoints, read_checkpoint
from adql.parameters.restoring import restored
from adql.parameters.state import Mark, State
from adql.parameters.store import WeightStore
from adql.parameters.watermark import VolumeRecord, Watermark
from adql.types import Version
from adql_services.local.keeper import connect, named_store
from adql_services.local.run_directory import RunDirectory, looking_into
from adql_services.local.store import LocalStore
from adql_services.local.summary import read_summary


@dataclass(frozen=True, slots=True)
class Commands:
    """What people type to go back to a checkpoint all the same, and what is to be done for the run to go on."""

    restore: str
    go_on: str


ON_KUBERNETES = Commands("adql k8s restore", "its parameter server goes on with it")


def restore(path: Path, file: Path | None = None, commands: Commands | None = None) -> int:
    """Puts the store of the run in ``path`` back; the embedded one, or that of ADQL_REDIS_URL. Returns 0.

    ``file`` is the checkpoint to take, by default the newest that can be read; ``commands`` those of a DIR, likewise.

    Raises:
        InputError: no run, no checkpoint that can be read, the newest of them cannot, or the store has lost nothing.
    """
    directory = RunDirectory(path)
    commands = commands or Commands(f"adql restore {path}", f"go on with `adql resume {path}`")
    with looking_into(path):
        if not directory.checkpoints.is_dir():
            raise InputError(
                f"{path} holds no checkpoints; name the DIR of an `adql train`, or a parameter server's volume"
            )
    directory.lock()
    directory.check_store(named_store() is not None)
    checkpoints = Checkpoints(directory.checkpoints)
    checkpoint = read_checkpoint(file) if file else checkpoints.read_newest()
    with _store(directory, checkpoint) as store:
        state, lost = _put_back(directory, store, checkpoint, checkpoints, None if file else commands.restore)
    steps, mark = state.record.clocks.environment_steps, state.mark
    sys.stdout.write(
        f"{lost}{path}: the store holds version {mark.version} again, at {state.record.learner_steps} learner steps "
        f"and {steps} environment steps; {commands.go_on}\n"
    )
    return 0


def _put_back(
    directory: RunDirectory, store: WeightStore, checkpoint: State, checkpoints: Checkpoints, command: str | None
) -> tuple[State, str]:
    """Returns the new state, and a line about what was passed over for it, empty where nothing was.

    A checkpoint that nobody named is not taken where others are passed over for it: ``command`` is how to name it.
    """
    guard, held = store.guard(), _readable(store)
    watermark = Watermark(directory.watermark)
    known, watermark_lost = _known(watermark)
    if known is not None and known.run_id != checkpoint.record.identity.run_id:
        raise InputError(f"that checkpoint is of another run than {directory.path}; name one of this run")
    damaged = _damaged(store) if held is None else None
    owner = secrets.token_hex(16)
    state = restored(checkpoint, held, known, owner, damaged=damaged, watermark_lost=watermark_lost)
    lost = _losses(directory, checkpoints, checkpoint, held, known)
    if lost and command:
        raise InputError(
            f"{lost}; bring that file back, or go back to version {checkpoint.mark.version} all the same: "
            f"`{command} --checkpoint {checkpoints.path_of(checkpoint.mark)}`"
        )
    if store.commit_over(state, guard) != state.mark:
        raise RunFailedError("a server committed to the store meanwhile: it is in use; stop that server first")
    identity, new = state.record.identity, state.mark
    watermark.write(VolumeRecord(identity.name, identity.run_id, new.epoch, new.number, new.commit))
    return state, f"{lost}\n" if lost else ""


def _losses(
    directory: RunDirectory, checkpoints: Checkpoints, checkpoint: State, held: State | None, known: VolumeRecord | None
) -> str:
    """Says which checkpoints were passed over and what is lost with them; nothing where the store has it still."""
    state = held if held is not None and held.mark[:3] > checkpoint.mark[:3] else checkpoint
    passed = checkpoints.passed_over(state)
    if not passed:
        return ""
    newest = max([one.order for one in passed] + ([known.order] if known else []))
    counted = read_summary(directory.summary).get("learner_steps")
    steps = f"{state.record.learner_steps} learner steps" + (f", the run had {counted}" if counted is not None else "")
    files = "; ".join(f"{one.path} is passed over, {one.reason}" for one in passed)
    return f"{files}: versions after {state.mark.version} up to {Version(*newest[:2])} are lost with it ({steps})"


def _readable(store: WeightStore) -> State | None:
    """A stored state that is damaged is as good as lost."""
    try:
        return store.read()
    except CheckpointError:
        return None


def _damaged(store: WeightStore) -> Mark | None:
    """Returns the mark of a state that cannot be read, if at least that can."""
    try:
        return store.mark()
    except CheckpointError:
        return None


def _known(watermark: Watermark) -> tuple[VolumeRecord | None, bool]:
    """Returns what the volume knows, and whether its record is damaged: one more thing that was lost."""
    try:
        return watermark.read(), False
    except CheckpointError:
        return None, True


@contextmanager
def _store(directory: RunDirectory, checkpoint: State) -> Iterator[WeightStore]:
    named, run = named_store(), checkpoint.record.identity.name
    if named is not None:
        with closing(connect(named, run, checkpoint.nbytes)) as store:
            yield store
        return
    embedded = _started(directory)
    try:
        with closing(WeightStore(embedded.url, run, state_bytes=checkpoint.nbytes)) as store:
            yield store
    finally:
        embedded.close()


def _started(directory: RunDirectory) -> LocalStore:
    """A store whose files are damaged is put aside, never deleted; one that does not start for another reason stays."""
    embedded = LocalStore(directory.store)
    try:
        embedded.start()
    except StoreLostError as error:
        aside = directory.store.with_name(f"store-damaged-{int(time.time())}")
        directory.store.rename(aside)
        sys.stdout.write(f"{error}; its files are kept in {aside}\n")
        embedded.start()
    return embedded
