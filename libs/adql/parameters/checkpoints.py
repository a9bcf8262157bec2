"""Checkpoints on the server's own volume: the whole durable state in safetensors files, with an index of hashes."""

import contextlib
import hashlib
import re
from pathlib import Path
from typing import NamedTuple

import msgspec

from adql.errors import CheckpointError
from adql.files import remove_leftovers, sync_directory, write_atomically
from adql.parameters.state import ARRAY_PREFIX, CHECKSUMS, PARAMETERS, Mark, State
from adql.parameters.tensors import read_tensors, write_tensors
from adql.types import Array

KEPT = 3
INDEX = "manifest.json"
"""Which files there are, with the hash of each."""


class Entry(msgspec.Struct, frozen=True):
    """One checkpoint that was written whole."""

    file: str
    epoch: int
    version: int
    sha256: str


class PassedOver(NamedTuple):
    """A newer checkpoint that cannot be read."""

    path: Path
    reason: str
    order: tuple[int, int, int]
    """Epoch, number and commit, by the name of the file."""


class Checkpoints:
    """The newest ``kept`` checkpoints in ``directory``; after the first there is always one that can be read."""

    def __init__(self, directory: Path, kept: int = KEPT) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        remove_leftovers(directory)
        self._directory, self._kept = directory, kept

    @property
    def directory(self) -> Path:
        """Where they lie."""
        return self._directory

    def is_empty(self) -> bool:
        """Whether no checkpoint was ever written here."""
        return not any(self._directory.glob("*.safetensors"))

    def entries(self) -> list[Entry]:
        """Returns the index, oldest first; nothing where there is no checkpoint.

        Raises:
            CheckpointError: it is damaged or gone; ``repair`` makes it again.
        """
        path = self._directory / INDEX
        if not path.exists():
            if any(self._directory.glob("*.safetensors")):
                raise CheckpointError(f"{path} is gone, the checkpoints are not")
            return []
        try:
            return msgspec.json.decode(path.read_bytes(), type=list[Entry])
        except msgspec.MsgspecError as error:
            raise CheckpointError(f"{path} is damaged: {error}") from None

    def repair(self) -> list[Entry]:
        """Makes the index again from the files that read back whole; a damaged one is put aside under another name."""
        path = self._directory / INDEX
        if path.exists():
            path.replace(path.with_name(f"{INDEX}.damaged"))
        entries = self._whole_files()
        write_atomically(path, msgspec.json.encode(entries))
        return entries

    def write(self, state: State) -> Path:
        """Writes ``state``, then the index that names it, then removes what is no longer named.

        Raises:
            OSError: the earlier checkpoints are still there.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        mark, path = state.mark, self.path_of(state.mark)
        earlier = [entry for entry in self._repaired_entries() if entry.file != path.name]
        blob = write_tensors(path, *_tensors(state))
        entry = Entry(path.name, mark.epoch, mark.number, hashlib.sha256(blob).hexdigest())
        kept = [*earlier, entry][-self._kept :]
        write_atomically(self._directory / INDEX, msgspec.json.encode(kept))
        self._remove_all_but({entry.file for entry in kept})
        return path

    def read_newest(self) -> State:
        """Returns the newest checkpoint whose hash holds.

        Raises:
            CheckpointError: there is none.
        """
        for entry in reversed(self._repaired_entries()):
            path = self._directory / entry.file
            if path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == entry.sha256:
                with contextlib.suppress(CheckpointError):
                    return read_checkpoint(path)
        raise CheckpointError(
            f"{self._directory} holds no checkpoint that can be read; name one with --checkpoint FILE"
        )

    def path_of(self, mark: Mark) -> Path:
        """Returns the file that a state with ``mark`` is kept in."""
        return self._directory / f"{mark.epoch}.{mark.number}.{mark.commit}.safetensors"

    def passed_over(self, state: State) -> list[PassedOver]:
        """Returns the checkpoints newer than ``state`` that cannot be read, oldest first."""
        hashes = {entry.file: entry.sha256 for entry in self._repaired_entries()}
        found = []
        for name in {*hashes, *(path.name for path in self._directory.glob("*.safetensors"))}:
            order, path = _order(name), self._directory / name
            if order is not None and order > state.mark[:3] and (reason := _damage(path, hashes.get(name))):
                found.append(PassedOver(path, reason, order))
        return sorted(found, key=lambda one: one.order)

    def _repaired_entries(self) -> list[Entry]:
        try:
            return self.entries()
        except CheckpointError:
            return self.repair()

    def _whole_files(self) -> list[Entry]:
        found = []
        for path in self._directory.glob("*.safetensors"):
            with contextlib.suppress(CheckpointError):
                mark = read_checkpoint(path).mark
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                found.append((mark, Entry(path.name, mark.epoch, mark.number, digest)))
        return [entry for _, entry in sorted(found, key=lambda pair: pair[0])]

    def _remove_all_but(self, named: set[str]) -> None:
        for path in self._directory.glob("*.safetensors"):
            if path.name not in named:
                path.unlink(missing_ok=True)
        sync_directory(self._directory)


def newest_file(directory: Path) -> Path | None:
    """Returns the newest checkpoint by its name; nothing is changed, so the server may be at work there."""
    orders = {order: path for path in directory.glob("*.safetensors") if (order := _order(path.name)) is not None}
    return orders[max(orders)] if orders else None


def read_checkpoint(path: Path) -> State:
    """Returns the state in one checkpoint file.

    Raises:
        CheckpointError: missing, damaged, or not a checkpoint.
    """
    arrays, metadata = read_tensors(path)
    blobs = {name: array.tobytes() for name, array in arrays.items()}
    try:
        mark = Mark(*msgspec.json.decode(metadata.get("mark", ""), type=tuple[int, int, int, str]))
    except msgspec.MsgspecError:
        raise CheckpointError(f"{path} is no checkpoint of a parameter server; name another file") from None
    texts = {name: metadata[name].encode() for name in ("record", CHECKSUMS) if name in metadata}
    return State.from_blobs(mark, blobs | texts)


def _order(name: str) -> tuple[int, int, int] | None:
    match = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)\.safetensors", name)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def _damage(path: Path, sha256: str | None) -> str | None:
    """Why a checkpoint cannot be taken; None where it can."""
    if not path.exists():
        return "it is missing"
    if sha256 is not None and hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        return f"its bytes are not those that {INDEX} has the hash of"
    try:
        read_checkpoint(path)
    except CheckpointError:
        return "it holds no whole checkpoint"
    return None


def _tensors(state: State) -> tuple[dict[str, Array], dict[str, str]]:
    arrays = {ARRAY_PREFIX + name: array for name, array in state.arrays.items()}
    blobs = state.blobs()
    return {PARAMETERS: state.parameters, **arrays}, {
        "mark": msgspec.json.encode(state.mark).decode(),
        "record": bytes(blobs["record"]).decode(),
        CHECKSUMS: bytes(blobs[CHECKSUMS]).decode(),
    }
