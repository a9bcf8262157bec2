"""What a run has cost: wall and CPU seconds from its first environment step, earlier commands included."""

import time
from collections.abc import Callable, Sequence

from adql_services.local.history import Moment
from adql_services.local.watch import Observation


class Meter:
    """Goes on from the last of ``earlier``; ``cpu_clock`` returns the CPU seconds of all processes so far."""

    def __init__(
        self,
        earlier: Sequence[Moment],
        cpu_clock: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock, self._cpu_clock = clock, cpu_clock
        self._start, self._runs = (clock(), cpu_clock()), False
        self._earlier = (earlier[-1].wall_seconds, earlier[-1].cpu_seconds) if earlier else (0.0, 0.0)
        self._steps_before = earlier[-1].environment_steps if earlier else 0
        self.wall_seconds, self.cpu_seconds = self._earlier

    def look(self, observation: Observation) -> None:
        """Starts at the last look that saw no new environment steps: the first one came after it."""
        now = self._clock(), self._cpu_clock()
        self._runs = self._runs or observation.environment_steps > self._steps_before
        if not self._runs:
            self._start = now
        self.wall_seconds = self._earlier[0] + now[0] - self._start[0]
        self.cpu_seconds = self._earlier[1] + now[1] - self._start[1]
