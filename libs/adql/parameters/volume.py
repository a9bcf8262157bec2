"""The parameter server's own volume: what it knows of the run beside the store, and the files that people take away.

watermark                 the newest commit that was ever announced: an emptied or older store is noticed by it
checkpoints/              the newest whole states
evaluations.csv           one line a finished evaluation
evaluations/<n>.safetensors   versions that wait for their evaluation
policy-best.safetensors, policy-last.safetensors
and the diary: run.yaml, progress.csv, episodes.csv, activity.json
"""

import contextlib
import os
from pathlib import Path

import msgspec

from adql.errors import CheckpointError, InputError, StoreLostError
from adql.files import check_writable, remove_leftovers, write_atomically
from adql.parameters.checkpoints import Checkpoints
from adql.parameters.diary import Diary
from adql.parameters.evaluation_log import EvaluationLog
from adql.parameters.policies import CHECKSUM, StoredPolicy, checksum_of
from adql.parameters.run_record import Task
from adql.parameters.state import WAY_OUT, Mark, RunIdentity, State
from adql.parameters.tensors import write_tensors
from adql.parameters.watermark import VolumeRecord, Watermark
from adql.types import Float32Array, Manifest, Version

WATERMARK = "watermark"
IN_PLACE = (WATERMARK, "evaluations.csv", "progress.csv", "episodes.csv")
"""Files that are overwritten or appended to; any other one is replaced whole."""
BEST, LAST = "policy-best.safetensors", "policy-last.safetensors"


class Volume:
    """One server's directory; every file in it is replaced whole.

    Methods that write raise OSError when the disk is full or broken, and leave the older file as it was.
    """

    def __init__(self, directory: Path, manifest: Manifest) -> None:
        kept = directory / "evaluations"
        kept.mkdir(parents=True, exist_ok=True)
        for place in (directory, kept):
            remove_leftovers(place)
        self._directory, self._kept, self._manifest = directory, kept, manifest
        self._watermark = Watermark(directory / WATERMARK)
        self.checkpoints = Checkpoints(directory / "checkpoints")
        self.log = EvaluationLog(directory / "evaluations.csv")
        self.diary = Diary(directory)

    def record(self) -> VolumeRecord | None:
        """Returns what the volume knows, None if it knows no run; without watermark, by the newest checkpoint.

        Raises:
            CheckpointError: the record is damaged, or gone and so are the checkpoints.
        """
        announced = self._watermark.read()
        if announced is not None or self.checkpoints.is_empty():
            return announced
        try:
            newest = self.checkpoints.read_newest()
        except CheckpointError as error:
            checkpoints = self._directory / "checkpoints"
            raise CheckpointError(
                f"{self._directory / 'watermark'} is gone and {error}; bring one of them back, "
                f"or remove {checkpoints} to take the store for what this volume knows"
            ) from None
        return _record_of(newest.record.identity, newest.mark)

    def check_writable(self) -> None:
        """Writes a file where the volume makes files, and opens what it writes in place.

        Raises:
            OSError: names what cannot be written.
        """
        for place in (self._directory, self._kept, self.checkpoints.directory):
            check_writable(place)
        for name in IN_PLACE:
            with contextlib.suppress(FileNotFoundError):
                os.close(os.open(self._directory / name, os.O_WRONLY))

    def remember(self, identity: RunIdentity, mark: Mark) -> None:
        """Records a commit before it is announced as durable."""
        self._watermark.write(_record_of(identity, mark))

    def keep_for_evaluation(self, task: Task, state: State) -> None:
        """Keeps a committed version until its evaluation is reported; it is the last policy, too."""
        self._write_policy(self._evaluation(task.version), state)
        self.write_last(state)

    def read_for_evaluation(self, task: Task, config_hash: str) -> Float32Array:
        """Returns the kept version of ``task``, shape (P,).

        Raises:
            CheckpointError: the file is gone, damaged, of another version or configuration.
        """
        stored = StoredPolicy.read(self._evaluation(task.version))
        stored.check_owner(config_hash)
        stored.check_version(str(task.version))
        return stored.vector(self._manifest)

    def forget_evaluations_but(self, waiting: tuple[Task, ...]) -> None:
        """Removes kept versions that nobody waits for."""
        needed = {self._evaluation(task.version) for task in waiting}
        for path in self._kept.glob("*.safetensors"):
            if path not in needed:
                path.unlink(missing_ok=True)

    def promote_to_best(self, task: Task) -> None:
        """Makes the kept version of ``task`` the best policy."""
        write_atomically(self._directory / BEST, self._evaluation(task.version).read_bytes())

    def write_last(self, state: State) -> None:
        """Makes a committed state the last policy."""
        self._write_policy(self._directory / LAST, state)

    def _evaluation(self, version: Version) -> Path:
        return self._kept / f"{version}.safetensors"

    def _write_policy(self, path: Path, state: State) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_tensors(path, self._manifest.views(state.parameters), policy_metadata(state))


def _record_of(identity: RunIdentity, mark: Mark) -> VolumeRecord:
    return VolumeRecord(identity.name, identity.run_id, mark.epoch, mark.number, mark.commit)


def policy_metadata(state: State) -> dict[str, str]:
    """Returns what a policy file says about itself; ``keys`` is JSON of what defines the run."""
    identity = state.record.identity
    return {
        "run": identity.name,
        "run_id": identity.run_id,
        "version": str(state.mark.version),
        "config_hash": identity.config_hash,
        "learner_steps": str(state.record.learner_steps),
        CHECKSUM: checksum_of(state.parameters),
        "keys": msgspec.json.encode(identity.keys).decode(),
    }


def check_store(record: VolumeRecord | None, stored: State | None, run: str) -> None:
    """Refuses to begin anew, or to go on from less than was announced.

    Raises:
        InputError: the volume belongs to a run of another name.
        StoreLostError: the volume knows the run, and the store is empty, older, or holds another run of that name.
    """
    if record is None:
        return
    if record.name != run:
        raise InputError(
            f"this server's directory belongs to run {record.name!r}, not {run!r}; "
            f"go on with run.name={record.name}, or set ADQL_DIRECTORY to another directory for {run!r}"
        )
    known = Version(record.epoch, record.number)
    if stored is None:
        raise StoreLostError(f"the store does not know run {run!r}, this volume has its version {known}; {_WAY_OUT}")
    check_same_run(stored, run, record.run_id)
    if stored.mark[:3] < record.order:
        held, older = f"version {stored.mark.version}", str(known)
        if stored.mark.version == known:
            held, older = f"commit {stored.mark.commit} of {held}", f"commit {record.commit} of it"
        raise StoreLostError(f"the store holds {held} of run {run!r}, older than {older}; {_WAY_OUT}")


def check_same_run(stored: State, run: str, run_id: str) -> None:
    """Refuses a state of another run.

    Raises:
        StoreLostError: says so.
    """
    if stored.record.identity.run_id != run_id:
        raise StoreLostError(f"the store holds another run named {run!r} than this volume; {_WAY_OUT}")


_WAY_OUT = f"bring the store's data back, or {WAY_OUT}"
