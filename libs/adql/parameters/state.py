"""The durable state of a run, and how it becomes bytes: raw arrays beside one JSON record."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import google_crc32c
import msgspec
import numpy as np

from adql.config import RunSpecification, config_hash
from adql.config.identity import differences, identity_keys
from adql.errors import CheckpointError, ConfigError
from adql.parameters.run_record import RunRecord
from adql.parameters.sessions import SessionsRecord
from adql.types import Array, ArraySpec, Clocks, Float32Array, Version

FORMAT = 2
"""+1 whenever an older server would misread the record."""
PARAMETERS = "parameters"
CHECKSUMS = "checksums"
"""JSON of the CRC32C of the mark, the record and every array, by field name."""
ARRAY_PREFIX = "rule:"
"""Before the name of each array of the update rule."""

WAY_OUT = (
    "put the newest checkpoint back with `adql restore DIR`, on Kubernetes with `adql k8s restore`, "
    "under compose with `docker compose run --rm parameter-server pod restore`"
)
"""Of every complaint about a stored state that is damaged."""


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
        return cls(specification.run.name, run_id, config_hash(specification), identity_keys(specification))

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
                "take the old values, or another run.name (ADQL_RUN under docker compose, "
                "run.run.name in the chart's values)"
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
        """Returns record, arrays and their checksums as raw bytes by field name; arrays are not copied."""
        blobs: dict[str, bytes | memoryview] = {
            "record": msgspec.json.encode(self.record),
            PARAMETERS: _raw(self.parameters),
        }
        blobs |= {f"{ARRAY_PREFIX}{name}": _raw(array) for name, array in self.arrays.items()}
        return blobs | {CHECKSUMS: msgspec.json.encode(_checksums(self.mark, blobs))}

    @classmethod
    def from_blobs(cls, mark: Mark, blobs: Mapping[str, bytes]) -> "State":
        """Reads what ``blobs`` wrote.

        Raises:
            CheckpointError: a field is missing or damaged, has another length or format than the record says, or the
                parameters are not finite.
        """
        record = _decode_record(blobs.get("record", b""))
        names = ["record", PARAMETERS, *(ARRAY_PREFIX + name for name, _, _ in record.arrays)]
        _check_whole(mark, {name: _blob(blobs, name) for name in names}, _blob(blobs, CHECKSUMS))
        arrays = {}
        for name, shape, dtype in record.arrays:
            arrays[name] = _array(blobs, ArraySpec(ARRAY_PREFIX + name, tuple(shape), dtype))
        parameters = _array(blobs, ArraySpec(PARAMETERS, (len(blobs[PARAMETERS]) // 4,), "float32"))
        if not np.isfinite(parameters).all():
            raise CheckpointError(f"stored state is damaged: {PARAMETERS} are not finite; {WAY_OUT}")
        return cls(mark, parameters, arrays, record)


def _raw(array: Array) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def _decode_record(blob: bytes) -> StateRecord:
    try:
        record = msgspec.json.decode(blob, type=StateRecord)
    except msgspec.MsgspecError as error:
        raise CheckpointError(f"stored state is damaged: its record: {error}; {WAY_OUT}") from None
    if record.format != FORMAT:
        raise CheckpointError(f"stored record has format {record.format}, this release reads {FORMAT}; run its release")
    return record


def _checksums(mark: Mark, blobs: Mapping[str, bytes | memoryview]) -> dict[str, int]:
    marked: dict[str, bytes | memoryview] = {"mark": msgspec.json.encode(mark)}
    return {name: crc32c(blob) for name, blob in (marked | dict(blobs)).items()}


def crc32c(blob: bytes | memoryview) -> int:
    """Returns the CRC32C of ``blob``."""
    return int(google_crc32c.value(np.frombuffer(blob, dtype=np.uint8)))


def _check_whole(mark: Mark, blobs: Mapping[str, bytes], checksums: bytes) -> None:
    try:
        wanted = msgspec.json.decode(checksums, type=dict[str, int])
    except msgspec.MsgspecError as error:
        raise CheckpointError(f"stored state is damaged: its checksums: {error}; {WAY_OUT}") from None
    for name, checksum in _checksums(mark, blobs).items():
        if wanted.get(name) != checksum:
            raise CheckpointError(f"stored state is damaged: the checksum of {name!r} does not hold; {WAY_OUT}")


def _blob(blobs: Mapping[str, bytes], name: str) -> bytes:
    if name not in blobs:
        raise CheckpointError(f"stored state is damaged: {name!r} is missing; {WAY_OUT}")
    return blobs[name]


def _array(blobs: Mapping[str, bytes], spec: ArraySpec) -> Array:
    blob, dtype = blobs[spec.name], np.dtype(spec.dtype)
    if len(blob) != spec.size * dtype.itemsize:
        raise CheckpointError(f"stored field {spec.name!r} has {len(blob)} bytes, not {spec.size} {spec.dtype}")
    return np.frombuffer(blob, dtype=dtype).reshape(spec.shape)
