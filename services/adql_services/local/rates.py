"""How fast a run goes just now."""

import time
from collections import deque
from collections.abc import Callable

from adql_services.local.watch import Observation

RATE_SECONDS = 3.0
"""Rates are those of the last seconds."""


class Rates:
    """Environment and learner steps a second; ``clock`` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: deque[tuple[float, int, int]] = deque()

    def look(self, observation: Observation) -> tuple[float, float]:
        """Returns both rates over the last RATE_SECONDS; the counters of a resumed run begin where they stood."""
        if not observation.state:
            return 0.0, 0.0
        now = self._clock()
        self._seen.append((now, observation.environment_steps, observation.learner_steps))
        while now - self._seen[0][0] > RATE_SECONDS and len(self._seen) > 2:
            self._seen.popleft()
        then, environment_steps, learner_steps = self._seen[0]
        seconds = max(now - then, 1e-9)
        if then == now:
            return 0.0, 0.0
        return (
            (observation.environment_steps - environment_steps) / seconds,
            (observation.learner_steps - learner_steps) / seconds,
        )
