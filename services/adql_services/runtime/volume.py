"""What a service cannot write to its volume, while it goes on without: told to its log and its metrics."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from adql.telemetry import metrics
from adql.telemetry.logs import get_logger
from adql_services.runtime.reminder import Reminder


class VolumeWatch:
    """One service's, for any of its threads; ``clock`` is in seconds.

    Each thing that is written is watched by itself: on a full disk an old file can be overwritten, a new one not made.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._failing: dict[str, str] = {}
        self._said: set[str] = set()
        self._reminders: dict[str, Reminder] = {}
        metrics.VOLUME_WRITE_FAILING.set(0)

    @property
    def trouble(self) -> str | None:
        """What cannot be written, and why; None where the newest of everything could be."""
        with self._lock:
            return "; ".join(f"{what}: {why}" for what, why in self._failing.items()) or None

    @contextlib.contextmanager
    def writing(self, what: str) -> Iterator[None]:
        """Takes note of whether ``what``, one of a few names, can be written inside.

        Raises:
            OSError: it cannot; the error is the one from inside.
        """
        try:
            yield
        except OSError as error:
            self._failed(what, error)
            raise
        self._wrote(what)

    def _failed(self, what: str, error: OSError) -> None:
        """Every commit would say it again."""
        with self._lock:
            self._failing[what] = str(error)
            metrics.VOLUME_WRITE_FAILING.set(1)
            if self._reminders.setdefault(what, Reminder(self._clock)).is_due():
                self._said.add(what)
                get_logger().error("cannot write to the volume", what=what, error=str(error))

    def _wrote(self, what: str) -> None:
        with self._lock:
            if self._failing.pop(what, None) is None:
                return
            metrics.VOLUME_WRITE_FAILING.set(bool(self._failing))
            if what in self._said:  # a disk that fails now and then is not told of twice a commit
                self._said.remove(what)
                get_logger().info("writes to the volume again", what=what)
