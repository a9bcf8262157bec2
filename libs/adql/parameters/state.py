"""The durable state of a run, and how it becomes bytes: raw arrays beside one JSON record."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import numpy as np

from adql.config import RunSpecification, config_hash
from adql.config.identity import IDENTITY, differences
from adql.errors import CheckpointError, ConfigError
from adql.parameters.run_record import RunRecord
from adql.parameters.sessions import SessionsRecord
from adql.types import Array, ArraySpec, Clocks, Float32Array, Version

FORMAT = 1
"""+1 whenever an older server would misread the record."""
PARAMETERS = "parameters"
ARRAY_PREFIX = "rule:"
"""Before the name of each array of the update rule."""


class Mark(NamedTuple):
    """Names one commit: the store holds exactly one, and a commit says which one it replaces."""

    epoch: int
    number: int
    commit: int
    """+1 with every attempt, so that two commits of one version can be told apart."""
    owner: str
    """Random name of the server process, so that two servers cannot take each other's commits for their own."""

    @property
    def version(self) -> Version:
        """The committed version."""
        return Version(self.epoch, self.number)


class RunIdentity(msgspec.Struct, frozen=True):
    """Which run this is, and the keys that may not change under its name."""

    name: str
    run_id: str
    config_hash: str
    keys: dict[str, Any]

    @classmethod
    def of(cls, specification: RunSpecification, run_id: str) -> "RunIdentity":
        """Returns the identity of a run of ``specification``."""
        keys = specification.model_dump(mode="json", include=IDENTITY)
        return cls(specification.run.name, run_id, config_hash(specification), keys)

    def check(self, specification: RunSpecification) -> None:
        """Refuses to go on with another configuration under the same name.

        Raises:
            ConfigError: names the keys that differ.
        """
        wanted = RunIdentity.of(specification, self.run_id)
        if wanted.config_hash != self.config_hash:
            changed = ", ".join(differences(self.keys, wanted.keys))
            raise ConfigError(
                f"run {self.name!r} was started with another configuration: {changed}; "
                "take the old values, or start another run with run.name=..."
            )


class StateRecord(msgspec.Struct, frozen=True):
    """Everything durable that is not an array."""

    identity: RunIdentity
    arrays: list[tuple[str, list[int], str]]
    """Name, shape and dtype of the update rule's arrays."""
    learner_steps: int = 0
    sessions: SessionsRecord = SessionsRecord()
    evaluations: RunRecord = RunRecord()
    earlier_epochs: dict[int, int] = {}
    """The last version of each earlier epoch that this state goes on from."""
    staleness: dict[int, int] = {}
    """Applied updates by staleness."""
    incidents: int = 0
    """Times that the store lost state which the server still had."""
    started_at: float = 0.0
    """Unix seconds."""
    saved_at: float = 0.0
    """Unix seconds of this commit."""
    format: int = FORMAT

    @property
    def clocks(self) -> Clocks:
        """The run's clocks in this state."""
        sessions = self.sessions
        live = sum(session.environment_steps for session in sessions.live)
        return Clocks(sessions.ended_environment_steps + live, self.learner_steps)


@dataclass(frozen=True, slots=True)
class State:
    """One immutable durable state: what a commit writes and a restart reads."""

    mark: Mark
    parameters: Float32Array
    """(P,), read-only."""
    arrays: Mapping[str, Array]
    """The update rule's arrays."""
    record: StateRecord

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return self.parameters.nbytes + sum(array.nbytes for array in self.arrays.values())

    def blobs(self) -> dict[str, bytes | memoryview]:
        """Returns record and arrays as raw bytes by field name; arrays are not copied."""
        blobs: dict[str, bytes | memoryview] = {
            "record": msgspec.json.encode(self.record),
            PARAMETERS: _raw(self.parameters),
        }
        return blobs | {f"{ARRAY_PREFIX}{name}": _raw(array) for name, array in self.arrays.items()}

    @classmethod
    def from_blobs(cls, mark: Mark, blobs: Mapping[str, bytes]) -> "State":
        """Reads what ``blobs`` wrote.

        Raises:
            CheckpointError: a field is missing, or has another length or format than the record says.
        """
        record = _decode_record(blobs.get("record", b""))
        arrays = {}
        for name, shape, dtype in record.arrays:
            arrays[name] = _array(blobs, ArraySpec(ARRAY_PREFIX + name, tuple(shape), dtype))
        parameters = np.frombuffer(_blob(blobs, PARAMETERS), dtype=np.float32)
        return cls(mark, parameters, arrays, record)


def _raw(array: Array) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def _decode_record(blob: bytes) -> StateRecord:
    try:
        record = msgspec.json.decode(blob, type=StateRecord)
    except msgspec.MsgspecError as error:
        raise CheckpointError(f"stored record is damaged: {error}; restore a checkpoint with `adql restore`") from None
    if record.format != FORMAT:
        raise CheckpointError(f"stored record has format {record.format}, this release reads {FORMAT}; run its release")
    return record


def _blob(blobs: Mapping[str, bytes], name: str) -> bytes:
    if name not in blobs or len(blobs[name]) % 4:
        raise CheckpointError(f"stored field {name!r} is missing or torn; restore a checkpoint with `adql restore`")
    return blobs[name]


def _array(blobs: Mapping[str, bytes], spec: ArraySpec) -> Array:
    blob, dtype = blobs.get(spec.name, b""), np.dtype(spec.dtype)
    if len(blob) != spec.size * dtype.itemsize:
        raise CheckpointError(f"stored field {spec.name!r} has {len(blob)} bytes, not {spec.size} {spec.dtype}")
    return np.frombuffer(blob, dtype=dtype).reshape(spec.shape)
