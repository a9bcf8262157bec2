"""Role ``actor`` (Ape-X, 1803.00933): acts under the newest parameters and inserts; never samples, never pushes."""

from collections.abc import Callable

from adql.agent.activity import Stopwatch
from adql.agent.collector import Collector
from adql.agent.loop import WAIT_SECONDS
from adql.agent.sources import ParameterSource
from adql.types import Parameters

PULL_SHARE = 0.1
"""Of an actor's time, at most, in pulls: where parameters are large or the server is busy, it pulls less often."""
MAX_PULL_PAUSE_SECONDS = 1.0
"""Between two pulls, however long the last one took."""


class ActingLoop:
    """Reports its environment steps after every chunk; the answer tells whether there is anything newer to pull."""

    def __init__(
        self,
        collector: Collector,
        parameters: ParameterSource,
        start: Parameters,
        stopwatch: Stopwatch,
        clock: Callable[[], float],
    ) -> None:
        self._collector, self._parameters, self._newest = collector, parameters, start
        self._stopwatch, self._clock = stopwatch, clock
        self._next_pull = clock()

    def turn(self) -> None:
        """Acts one chunk and inserts it; waits in the table while inserts are ahead of samples."""
        self._pull_newer()
        self._collector.gather(self._newest.vector, self._parameters.state.clocks.environment_steps)
        if not self._collector.offer():
            self._collector.offer(WAIT_SECONDS)
        self._parameters.progress(self._collector.environment_steps)

    def close(self) -> None:
        """Inserts what it holds and reports its environment steps."""
        self._collector.offer()
        self._parameters.progress(self._collector.environment_steps)

    def _pull_newer(self) -> None:
        start = self._clock()
        if self._parameters.state.version == self._newest.version or start < self._next_pull:
            return
        with self._stopwatch.on("pull"):
            self._newest = self._parameters.pull(self._newest.version) or self._newest
        end = self._clock()
        self._next_pull = end + min((end - start) * (1.0 / PULL_SHARE - 1.0), MAX_PULL_PAUSE_SECONDS)
