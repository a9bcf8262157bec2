"""Keeps a learner's parameters and target network in step with the parameter server."""

from dataclasses import dataclass

import numpy as np

from adql.agent import merging
from adql.agent.activity import Stopwatch
from adql.agent.learner import DqnLearner
from adql.agent.sources import ParameterSource
from adql.agent.target_clock import TargetClock
from adql.config import RunSpecification
from adql.config.effective import overlaps
from adql.types import Array, Float32Array, Parameters, PushAnswer, Version


@dataclass(slots=True)
class _Push:
    """The update under way."""

    vector: Float32Array
    """As the server reads it: what both sides go by."""
    local_norm: float
    steps: int


class Synchroniser:
    """Pushes every k local steps and merges each answer; at most one push is under way."""

    def __init__(
        self,
        learner: DqnLearner,
        source: ParameterSource,
        specification: RunSpecification,
        start: Parameters,
        stopwatch: Stopwatch,
    ) -> None:
        self._learner, self._source, self._stopwatch = learner, source, stopwatch
        self._update, self._overlaps = specification.update, overlaps(specification)
        self._rule = merging.make_merge(self._update)
        self._base = start
        self._under_way: _Push | None = None
        self._target_clock = TargetClock(source.state, alone=self._update.rule == "gradient")
        self._local_steps = 0
        self.outcomes: dict[str, int] = {}
        """Answers so far by outcome."""
        self.divergence = 0.0
        """‖θ_i − θ‖/‖θ‖ at the last answered push."""

    @property
    def based_on(self) -> Version:
        """The server's version that was merged last."""
        return self._base.version

    @property
    def pushes(self) -> int:
        """Updates sent so far."""
        return sum(self.outcomes.values()) + (self._under_way is not None)

    @property
    def learner_clock(self) -> int:
        """Learner steps of the run: as last told, plus the local ones that no answer has counted yet."""
        under_way = self._under_way.steps if self._under_way else 0
        return self._source.state.clocks.learner_steps + under_way + self._local_steps

    def after_step(self, environment_steps: int) -> None:
        """Counts one local step, and pushes what changed when k of them are done."""
        self._local_steps += 1
        if self._local_steps >= self._update.steps_per_push:
            self.push(self._learner.vector, environment_steps)

    def push(self, local: Array, environment_steps: int) -> None:
        """Takes the answer under way, then sends what ``local`` (parameters, or a gradient under ``gradient``) says."""
        self.settle()
        if self._update.rule != "gradient" and not self._local_steps:
            return  # the answer just taken was a refusal, and took the steps back
        with self._stopwatch.on("push"):
            outgoing = self._rule.outgoing(local, self._base.vector, self._source.state.learners)
            steps, self._local_steps = max(1, self._local_steps), 0
            sent = self._source.begin_push(outgoing, self._base.version, steps, environment_steps)
            self._under_way = _Push(sent, self._distance_to_base(), steps)
        if not self._overlaps:
            self.settle()

    def settle(self) -> None:
        """Waits for the answer to the push under way, if there is one, and merges it."""
        if self._under_way is None:
            return
        with self._stopwatch.on("push"):
            sent, self._under_way = self._under_way, None
            self._take(sent, self._source.finish_push())

    def give_up(self) -> None:
        """Starts over from the server's newest parameters, as after a refusal, because of a loss that cannot be."""
        self.settle()
        with self._stopwatch.on("push"):
            self._restart(self._source.pull(self._base.version) or self._base)

    def _restart(self, parameters: Parameters) -> None:
        """Takes ``parameters`` as they are; the local steps since the last push are lost and not counted."""
        merging.restart(self._learner.vector, parameters.vector)
        self._local_steps = 0
        self._rebase(parameters)

    def _take(self, sent: _Push, answer: PushAnswer) -> None:
        self.outcomes[answer.outcome] = self.outcomes.get(answer.outcome, 0) + 1
        self.divergence = sent.local_norm
        if answer.joined:
            self._rule.merge(self._learner.vector, self._base.vector, sent.vector, answer.parameters.vector)
            self._rebase(answer.parameters)
        else:
            self._restart(answer.parameters)

    def _rebase(self, parameters: Parameters) -> None:
        self._base = parameters
        before = self._target_clock.steps
        self._target_clock.advance(self._source.state)
        self._learner.advance_target(before, self._target_clock.steps, parameters.vector)

    def _distance_to_base(self) -> float:
        base = self._base.vector
        norm = float(np.linalg.norm(base))
        with np.errstate(over="ignore"):  # of parameters that burst: the server refuses them
            return float(np.linalg.norm(self._learner.vector - base)) / norm if norm else 0.0
