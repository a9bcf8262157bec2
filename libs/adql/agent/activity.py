"""Where a learner's time goes: seconds by activity."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from adql.types import ACTIVITIES, Activity


class Stopwatch:
    """Adds up the seconds of each activity; ``clock`` returns monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.seconds: dict[Activity, float] = dict.fromkeys(ACTIVITIES, 0.0)

    @contextmanager
    def on(self, activity: Activity) -> Iterator[None]:
        """Counts the time inside the block as ``activity``; blocks do not nest."""
        start = self._clock()
        try:
            yield
        finally:
            self.seconds[activity] += self._clock() - start
