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
        self._start: tuple[float, float] | None = None
        self._earlier = (earlier[-1].wall_seconds, earlier[-1].cpu_seconds) if earlier else (0.0, 0.0)
        self._steps_before = earlier[-1].environment_steps if earlier else 0
        self.wall_seconds, self.cpu_seconds = self._earlier

    def look(self, observation: Observation) -> None:
        """Starts at the first observation with new environment steps; brings both times up to date."""
        if self._start is None and observation.environment_steps > self._steps_before:
            self._start = self._clock(), self._cpu_clock()
        if self._start is not None:
            self.wall_seconds = self._earlier[0] + self._clock() - self._start[0]
            self.cpu_seconds = self._earlier[1] + self._cpu_clock() - self._start[1]
