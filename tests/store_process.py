"""A real store for tests, in a process of its own."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from adql_services.local.store import LocalStore


@contextlib.contextmanager
def running_store(directory: Path, **settings: str) -> Iterator[LocalStore]:
    """Yields a started store; ``settings`` name Valkey's own with underscores."""
    store = LocalStore(directory, {name.replace("_", "-"): value for name, value in settings.items()})
    try:
        store.start()
        yield store
    finally:
        store.kill()
        store.remove_socket()
