"""When the learners of a local run may go, and when it is over: decided from what is seen and the time."""

from enum import Enum

from adql.types import OVER, SPENT
from adql_services.local.watch import Observation

LAST_EVALUATION_SECONDS = 120.0
"""How long a run that is spent waits for its last evaluation."""


class Step(Enum):
    """What follows from one look at the run."""

    GO_ON = "go on"
    RETIRE = "end learners and actors: what they push now is evaluated too"
    BRING_BACK = "start them again: the server lost what was not committed, and the run is spent no longer"
    END = "the run is over"


class Ending:
    """Remembers whether the learners were retired, and since when the last evaluation is waited for."""

    def __init__(self) -> None:
        self._deadline: float | None = None

    def after(self, observation: Observation, now: float) -> Step:
        """Returns what to do at ``now`` (seconds of any clock)."""
        if observation.status in SPENT:
            return self._after_spent(observation, now)
        if observation.status in OVER:
            return Step.END
        retired, self._deadline = self._deadline is not None, None
        return Step.BRING_BACK if retired else Step.GO_ON

    def _after_spent(self, observation: Observation, now: float) -> Step:
        if self._deadline is None:
            self._deadline = now + LAST_EVALUATION_SECONDS
            return Step.RETIRE
        return Step.END if observation.is_evaluated or now > self._deadline else Step.GO_ON
