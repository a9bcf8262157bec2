"""Named arrays in safetensors files."""

from collections.abc import Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from adql.errors import CheckpointError
from adql.files import write_atomically
from adql.types import Array


def write_tensors(path: Path, arrays: dict[str, Array], metadata: dict[str, str]) -> bytes:
    """Writes a safetensors file and returns its bytes."""
    blob = save(arrays, metadata)
    write_atomically(path, blob)
    return blob


def read_tensors(path: Path, names: Sequence[str] | None = None) -> tuple[dict[str, Array], dict[str, str]]:
    """Returns arrays (all, or those of ``names``) and metadata of a safetensors file.

    Raises:
        CheckpointError: missing, torn, damaged, or without one of ``names``.
    """
    try:
        with safe_open(path, framework="np") as file:
            wanted = list(file.keys()) if names is None else names
            return {name: file.get_tensor(name) for name in wanted}, dict(file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}; name another file") from None
