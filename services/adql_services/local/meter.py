"""What a run has cost: CPU seconds from its first environment step, earlier commands included."""

from collections.abc import Callable

from adql_services.local.watch import Observation


class Meter:
    """Goes on from ``earlier`` CPU seconds at ``steps_before``; ``cpu_clock`` returns those of all processes so far."""

    def __init__(self, earlier: float, steps_before: int, cpu_clock: Callable[[], float]) -> None:
        self._cpu_clock, self._start, self._runs = cpu_clock, cpu_clock(), False
        self._earlier, self._steps_before = earlier, steps_before
        self.cpu_seconds = earlier

    def look(self, observation: Observation) -> None:
        """Starts at the last look that saw no new environment steps: the first one came after it."""
        now = self._cpu_clock()
        if observation.state:  # `adql restore` may have gone back behind the summary
            self._steps_before = min(self._steps_before, observation.environment_steps)
        self._runs = self._runs or observation.environment_steps > self._steps_before
        if not self._runs:
            self._start = now
        self.cpu_seconds = self._earlier + now - self._start
