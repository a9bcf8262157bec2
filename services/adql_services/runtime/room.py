"""What room a service's volume has, and whether it can be written: asked inside the service's own container."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any


def room(directory: Path, check_writable: Callable[[Path], None]) -> dict[str, Any]:
    """Returns the ``bytes`` and ``free_bytes`` of its volume, and as ``trouble`` why it cannot be written, if so."""
    total = free = 0
    try:
        total, _, free = shutil.disk_usage(directory)
        check_writable(directory)
    except OSError as error:
        return {"bytes": total, "free_bytes": free, "trouble": error.strerror or str(error)}
    return {"bytes": total, "free_bytes": free, "trouble": ""}
