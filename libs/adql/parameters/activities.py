"""activity.json: where the time of each process went that acts or learns, over all its lives."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from adql.files import write_atomically
from adql.types import ACTIVITIES, Activity

EVERY_SECONDS = 10.0
"""Between two times that the file is replaced."""


class Activities:
    """Seconds by process and activity; ``clock`` is monotonic, in seconds."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._clock, self._next = path, clock, clock()
        self._seconds: dict[str, dict[str, float]] = {}
        self._changed = False

    def load(self) -> None:
        """Goes on from the file; one that is damaged is begun anew, since nothing but a picture hangs on it."""
        try:
            self._seconds = msgspec.json.decode(self._path.read_bytes(), type=dict[str, dict[str, float]])
        except (FileNotFoundError, msgspec.MsgspecError):
            self._seconds = {}

    def add(self, process: str, seconds: Mapping[Activity, float]) -> None:
        """Adds what ``process`` spent since it last told."""
        known = self._seconds.setdefault(process, {})
        for activity, spent in seconds.items():
            known[activity] = known.get(activity, 0.0) + spent
        self._changed = True

    def seconds(self) -> dict[str, dict[str, float]]:
        """Returns all of them, rounded to milliseconds."""
        return {
            process: {activity: round(known.get(activity, 0.0), 3) for activity in ACTIVITIES}
            for process, known in sorted(self._seconds.items())
        }

    def take(self, *, last: bool = False) -> bytes | None:
        """Returns the page to ``write``, None where there is nothing new, or where it is too early and not the last."""
        if not self._changed or not (last or self._clock() >= self._next):
            return None
        self._changed, self._next = False, self._clock() + EVERY_SECONDS
        return msgspec.json.encode(self.seconds())

    def write(self, page: bytes | None) -> None:
        """Replaces the file, if there is a page; in any thread, but one at a time.

        Raises:
            OSError: the old one is still there.
        """
        if page is None:
            return
        try:
            write_atomically(self._path, page)
        except OSError:
            self._changed = True
            raise
