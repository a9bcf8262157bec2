"""The acting half of a learner: gathers transitions and inserts them chunk by chunk."""

from collections.abc import Callable

import numpy as np

from adql.agent.activity import Stopwatch
from adql.agent.actor import Actor, Episode
from adql.agent.exploration import Epsilons
from adql.agent.sources import ReplaySource
from adql.types import Array, Float64Array, TransitionBatch


class Collector:
    """Acts until a chunk is full and offers it to replay; holds one chunk at most, so nothing piles up.

    ``goes_on`` is asked after each step of the copies: steps may be slow, and a service has to say that it lives and
    to end in time. Once it says no, what was gathered is the chunk.
    """

    def __init__(
        self,
        actor: Actor,
        epsilons: Epsilons,
        replay: ReplaySource,
        chunk_transitions: int,
        stopwatch: Stopwatch,
        goes_on: Callable[[], bool] = lambda: True,
    ) -> None:
        self._actor, self._epsilons, self._replay = actor, epsilons, replay
        self._chunk_transitions, self._stopwatch, self._goes_on = chunk_transitions, stopwatch, goes_on
        self._chunk: TransitionBatch | None = None
        self._episodes: list[Episode] = []
        self.environment_steps = 0
        """Of this session; never falls."""
        self._newest_epsilons: Float64Array = np.zeros(1)

    @property
    def epsilon(self) -> float:
        """Mean of the copies' newest ε."""
        return float(self._newest_epsilons.mean())

    def gather(self, vector: Array, run_environment_steps: int) -> None:
        """Acts under ``vector`` until a chunk is full or it has to stop; not while one still waits to be inserted."""
        if self._chunk is not None:
            return
        gathered: list[TransitionBatch] = []
        count, start = 0, self.environment_steps
        with self._stopwatch.on("environment"):
            while count < self._chunk_transitions:
                epsilons = self._epsilons(run_environment_steps + self.environment_steps - start)
                acted = self._actor.act(vector, epsilons)
                self._newest_epsilons = epsilons
                gathered.append(acted.transitions)
                count += len(acted.transitions)
                self.environment_steps += acted.environment_steps
                self._episodes += acted.episodes
                if not self._goes_on():
                    break
        if count:
            self._chunk = TransitionBatch.concatenate(gathered)

    def offer(self, wait_seconds: float = 0.0) -> int:
        """Inserts the chunk; returns its number of transitions, or 0 when the table refuses for now."""
        if self._chunk is None:
            return 0
        with self._stopwatch.on("wait" if wait_seconds else "insert"):
            inserted = self._replay.insert(self._chunk, wait_seconds)
        if not inserted:
            return 0
        transitions, self._chunk = len(self._chunk), None
        return transitions

    def close(self) -> None:
        """Closes the environments."""
        self._actor.close()

    def take_episodes(self) -> list[Episode]:
        """Returns the episodes finished since the last call."""
        episodes, self._episodes = self._episodes, []
        return episodes
