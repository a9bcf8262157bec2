"""A real store for tests, in a process of its own.

It is the embedded Valkey unless ``ADQL_TEST_STORE`` names another server's binary, such as /usr/bin/redis-server.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from adql_services.local.store import LocalStore

OTHER = os.environ.get("ADQL_TEST_STORE")


@contextlib.contextmanager
def running_store(directory: Path, **settings: str) -> Iterator[LocalStore]:
    """Yields a started store; ``settings`` name Valkey's own with underscores."""
    extra = {name.replace("_", "-"): value for name, value in settings.items()}
    store = LocalStore(directory, extra, binary=Path(OTHER) if OTHER else None)
    try:
        store.start()
        yield store
    finally:
        store.kill()
        store.close()
