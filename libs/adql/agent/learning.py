"""Role ``learner`` (Ape-X, 1803.00933): samples, learns and pushes; has no environment."""

from adql.agent.loop import WAIT_SECONDS
from adql.agent.sources import ParameterSource
from adql.agent.study import Study

NO_STEPS = 0
"""Environment steps of a session that never acts."""


class LearningLoop:
    """Learns as fast as the table gives batches; starved of them, it waits there."""

    def __init__(self, study: Study, parameters: ParameterSource) -> None:
        self._study, self._parameters = study, parameters

    def turn(self) -> None:
        """Learns from one request's batches; a turn without a push tells the server that this learner lives."""
        samples, pushes = self._study.draw(WAIT_SECONDS), self._study.synchroniser.pushes
        if samples is not None:
            self._study.learn_from(samples, NO_STEPS)
        if self._study.synchroniser.pushes == pushes:
            self._parameters.progress(NO_STEPS)

    def close(self) -> None:
        """Finishes learning; its report only renews the lease."""
        self._study.close()
        self._parameters.progress(NO_STEPS)
