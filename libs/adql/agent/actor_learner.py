"""Role ``both`` (Gorila, 1507.04296): acts a chunk, then learns as much as the samples-per-insert law lets it."""

from adql.agent.collector import Collector
from adql.agent.loop import WAIT_SECONDS
from adql.agent.sources import ParameterSource
from adql.agent.study import Study


class ActorLearner:
    """Keeps its own account of the law: inserting n transitions earns n·``samples_per_insert`` samples.

    A refusal of one verb sends it to the other. The table's limiter stands above all learners.
    """

    def __init__(
        self, collector: Collector, study: Study, parameters: ParameterSource, samples_per_insert: float | None
    ) -> None:
        self._collector, self._study, self._parameters = collector, study, parameters
        self._samples_per_insert = samples_per_insert
        self._earned = 0.0

    def turn(self) -> None:
        """Acts one chunk and learns what it earned; waits in the table when both verbs are refused."""
        self._collector.gather(self._study.vector, self._parameters.state.clocks.environment_steps)
        inserted, learned, pushes = self._collector.offer(), 0, self._study.synchroniser.pushes
        self._earned += self._earnings(inserted)
        while not (inserted or learned) or self._earned >= self._study.request_size:
            samples = self._study.draw()
            if samples is None:
                self._earned = 0.0
                break
            self._earned -= self._study.request_size
            self._study.learn_from(samples, self._collector.environment_steps)
            learned += len(samples)
        if self._study.synchroniser.pushes == pushes:
            # No push tells the server that this learner lives, and how far the run's clock is: ε goes by that.
            self._parameters.progress(self._collector.environment_steps)
        if not (inserted or learned):
            self._earned += self._earnings(self._collector.offer(WAIT_SECONDS))

    def close(self) -> None:
        """Finishes learning, inserts what it holds and reports its environment steps."""
        self._study.close()
        self._collector.offer()
        self._parameters.progress(self._collector.environment_steps)

    def _earnings(self, inserted: int) -> float:
        if self._samples_per_insert is None:
            return float(self._study.request_size) if inserted else 0.0
        return inserted * self._samples_per_insert
