"""When the next commit or evaluation may start: as often as its share of a core and of the disk allow."""

import math
from collections import deque

from adql.config import DurabilitySettings, EvaluationSettings

RECENT = 5
"""Commits of which the cheapest counts: what held up the others, such as a busy machine, is no cost of theirs."""
MAX_REST_SECONDS = 3_600.0
"""Between two evaluations, however long an evaluator says that it played."""


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
        duty = min(self._costs) / self._settings.commit_duty
        interval = max(duty, self._last_bytes / self._settings.commit_bytes_per_second)
        if not new_version:
            interval = max(interval, self._settings.max_interval_seconds)
        return self._last_start + interval


class EvaluationPacer:
    """Lets an evaluator rest after it played; all times are seconds of one monotonic clock.

    Known to this process alone: who starts anew begins with an evaluation.
    """

    def __init__(self, settings: EvaluationSettings) -> None:
        self._duty = settings.duty
        self._last_seconds, self._next_start = 0.0, -math.inf

    def scheduled(self, now: float) -> None:
        """Takes one into account that waits to be played; until it was, it is thought to take as long as the last."""
        self._next_start = now + min(self._last_seconds / self._duty, MAX_REST_SECONDS)

    def played(self, now: float, seconds: float, *, over_the_goal: bool) -> None:
        """Takes a periodic evaluation into account that took ``seconds``.

        Two in a row reach a goal: after a first one over it the second does not wait.
        """
        rest = 0.0 if over_the_goal else seconds * (1.0 / self._duty - 1.0)
        self._last_seconds, self._next_start = seconds, now + min(rest, MAX_REST_SECONDS)

    def rests(self, now: float) -> bool:
        """Whether it is too early for another one."""
        return now < self._next_start
