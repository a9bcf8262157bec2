"""The clock by which a target network moves: learner steps of one learner."""

from adql.types import RunState


class TargetClock:
    """Counts 1/L of a learner step for each step of the run, L being the live learners.

    The steps of many local optimizers stand beside each other instead of following one another, and move θ little
    further than those of one; where every step moves θ whole, as under the rule ``gradient``, L is ``alone``: 1. What
    was counted stays when L changes, so that a period under way is neither skipped nor begun anew.
    """

    def __init__(self, state: RunState, *, alone: bool) -> None:
        self._alone = alone
        self._epoch, self._run_steps = state.version.epoch, state.clocks.learner_steps
        self.steps = self._run_steps / self._learners(state)
        """Of one learner, since the run began; those that joined at the same L cross a multiple together."""

    def advance(self, state: RunState) -> None:
        """Goes on to ``state``; back only where a new epoch has lost steps, which are then to be made again."""
        epoch, new = state.version.epoch, state.clocks.learner_steps - self._run_steps
        if new < 0 and epoch <= self._epoch:
            return  # an older answer that was read late
        self._epoch, self._run_steps = epoch, state.clocks.learner_steps
        self.steps += new / self._learners(state)

    def _learners(self, state: RunState) -> int:
        return 1 if self._alone else max(1, state.learners)
