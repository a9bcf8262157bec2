"""Policy files: one reader for the server, which hands kept versions out, and for whoever plays a stored policy."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from adql.errors import CheckpointError
from adql.parameters.state import crc32c
from adql.parameters.tensors import read_tensors
from adql.types import Array, Float32Array, Manifest

CHECKSUM = "crc32c"
"""Of the flat vector; a file without it is refused like one whose vector has another."""


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    """What one policy file holds; nothing in it was compared with anything yet."""

    path: Path
    arrays: Mapping[str, Array]
    metadata: Mapping[str, str]

    @classmethod
    def read(cls, path: Path) -> "StoredPolicy":
        """Reads a whole file.

        Raises:
            CheckpointError: missing, torn or damaged.
        """
        if path.is_dir():
            raise CheckpointError(f"{path} is a folder; name a file in it, such as {path / 'policy-best.safetensors'}")
        if not path.exists():
            raise CheckpointError(f"{path} does not exist; name a policy that `adql train` wrote")
        return cls(path, *read_tensors(path))

    def vector(self, manifest: Manifest) -> Float32Array:
        """Returns the flat vector (P,) of the network of ``manifest``.

        Raises:
            CheckpointError: arrays too many or too few, of other shapes or dtypes, not finite, or of another checksum.
        """
        found = {name: (array.shape, array.dtype.name) for name, array in self.arrays.items()}
        wanted = {entry.name: (entry.shape, entry.dtype) for entry in manifest.entries}
        if found != wanted:
            raise CheckpointError(f"{self.path} has arrays {found}, its network has {wanted}: {_DAMAGED}")
        vector = np.concatenate([self.arrays[entry.name].ravel() for entry in manifest.entries])
        if not np.isfinite(vector).all():
            raise CheckpointError(f"{self.path} holds numbers that are not finite: {_DAMAGED}")
        written, checksum = self.metadata.get(CHECKSUM, "none"), checksum_of(vector)
        if written != checksum:
            raise CheckpointError(f"{self.path} has checksum {checksum}, written was {written}: {_DAMAGED}")
        return vector

    def check_owner(self, config_hash: str) -> None:
        """Refuses the policy of another environment or of other settings.

        Raises:
            CheckpointError: it says which configuration it belongs to.
        """
        found = self.metadata.get("config_hash", "none")
        if found != config_hash:
            raise CheckpointError(
                f"{self.path} belongs to another run: it has configuration {found[:12]}, this one {config_hash[:12]}; "
                "evaluate another run's policy with its own DIR"
            )

    def check_version(self, version: str) -> None:
        """Refuses a file of another version than it was kept for.

        Raises:
            CheckpointError: it says which version it has.
        """
        if (found := self.metadata.get("version", "none")) != version:
            raise CheckpointError(f"{self.path} holds version {found}, not {version}: {_DAMAGED}")


def checksum_of(vector: Float32Array) -> str:
    """Returns what a policy file says of its flat vector (P,) under ``CHECKSUM``."""
    return f"{crc32c(vector.data):08x}"


_DAMAGED = "it is damaged; try another file or the other --policy"
