"""How a process says why it ends: one line on stderr, in one shape, and an exit code."""

import contextlib
import sys

from adql.errors import AdqlError

PREFIX = "adql: error: "
"""How the last line of a process that ends by an error begins."""


def tell(error: AdqlError) -> int:
    """Writes the one line that people and the launcher read; returns the exit code of a process that ends by it."""
    with contextlib.suppress(OSError, ValueError):  # stderr may be full, broken or closed
        sys.stderr.write(f"{PREFIX}{error}\n")
    return error.exit_code
