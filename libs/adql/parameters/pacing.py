"""When the next commit may start: as often as its share of a core and of the disk allow."""

import math
from collections import deque
from statistics import median

from adql.config import DurabilitySettings

RECENT = 5
"""Commits whose median cost counts: one that was held up must not delay the next by ten times its length."""


class CommitPacer:
    """Plans commits; all times are seconds of one monotonic clock.

    The cost of a commit is its wall time, since the store's own work cannot be seen from here.
    """

    def __init__(self, settings: DurabilitySettings) -> None:
        self._settings = settings
        self._costs: deque[float] = deque(maxlen=RECENT)
        self._last_start, self._last_bytes = -math.inf, 0

    def committed(self, start: float, end: float, nbytes: int) -> None:
        """Takes one finished commit of ``nbytes`` into account."""
        self._costs.append(end - start)
        self._last_start, self._last_bytes = start, nbytes

    def next_start(self, new_version: bool) -> float:
        """Returns when the next commit may start; clocks and sessions alone wait for the largest interval."""
        if not self._costs:
            return self._last_start
        duty = median(self._costs) / self._settings.commit_duty
        interval = max(duty, self._last_bytes / self._settings.commit_bytes_per_second)
        if not new_version:
            interval = max(interval, self._settings.max_interval_seconds)
        return self._last_start + interval
