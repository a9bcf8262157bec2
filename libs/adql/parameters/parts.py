"""Large fields of a state in parts, which go ahead of the commit that names them.

In one command a store holds what it is sent three more times: as it came, as the script's copy and for its file. In
parts only the new state stands beside the old one until the commit.
"""

from collections.abc import Mapping

from adql.errors import CheckpointError
from adql.parameters.state import WAY_OUT

Blob = bytes | memoryview

PART_BYTES = 512 * 1024
"""A field of more bytes is cut. Fewer cost a commit more syncs, more cost the store more memory."""


def cut(fields: Mapping[str, Blob], part_bytes: int) -> tuple[dict[str, Blob], dict[str, Blob]]:
    """Returns the fields that a commit carries itself, and the parts of the larger ones by ``name/index``."""
    small = {name: blob for name, blob in fields.items() if len(blob) <= part_bytes}
    parts: dict[str, Blob] = {
        f"{name}/{start // part_bytes}": memoryview(blob)[start : start + part_bytes]
        for name, blob in fields.items()
        if name not in small
        for start in range(0, len(blob), part_bytes)
    }
    return small, parts


def joined(parts: Mapping[bytes, bytes]) -> dict[str, bytes]:
    """Returns the fields whose ``parts`` these are; one that lacks is found by the field's checksum.

    Raises:
        CheckpointError: a part has another name than ``cut`` gives.
    """
    numbered: dict[str, dict[int, bytes]] = {}
    for key, part in parts.items():
        name, _, index = key.decode(errors="replace").rpartition("/")
        if not index.isdecimal():
            raise CheckpointError(f"stored state is damaged: a part is called {key!r}; {WAY_OUT}")
        numbered.setdefault(name, {})[int(index)] = part
    return {name: b"".join(found[index] for index in sorted(found)) for name, found in numbered.items()}
