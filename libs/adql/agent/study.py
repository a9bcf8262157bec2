"""The learning half of a learner: draws batches, takes local steps on them and lets the synchroniser push."""

import math
from dataclasses import dataclass

import numpy as np

from adql.agent.activity import Stopwatch
from adql.agent.learner import DqnLearner, StepResult
from adql.agent.loss_gate import LossGate
from adql.agent.sources import ReplaySource, importance_weights
from adql.agent.synchroniser import Synchroniser
from adql.config import RunSpecification
from adql.types import Activity, Array, ReplaySample


@dataclass(frozen=True, slots=True)
class LearningRecord:
    """What the newest batch and all of them said."""

    learner_steps: int = 0
    newest: StepResult | None = None
    outliers_dropped: int = 0


class Study:
    """Asks for the next batches while it learns on the present ones; holds one request's batches at most."""

    def __init__(
        self,
        specification: RunSpecification,
        learner: DqnLearner,
        synchroniser: Synchroniser,
        replay: ReplaySource,
        stopwatch: Stopwatch,
    ) -> None:
        self._settings, self._batch_size = specification.replay, specification.algorithm.batch_size
        self._gradient_rule = specification.update.rule == "gradient"
        self._gate = LossGate(specification.update.outlier_deviations)
        self._importance_exponent = self._settings.importance_exponent.build()
        self._learner, self._replay, self._stopwatch = learner, replay, stopwatch
        self._sample_under_way = False
        self.synchroniser = synchroniser
        self.request_size = self._settings.batches_per_request * self._batch_size
        """Transitions in one request."""
        self.record = LearningRecord()

    @property
    def vector(self) -> Array:
        """θ (P,), as it is just now."""
        return self._learner.vector

    def draw(self, wait_seconds: float = 0.0) -> list[ReplaySample] | None:
        """Returns the next batches; None when the table refuses them for now, after ``wait_seconds``."""
        samples = self._finish_sample("sample") if self._sample_under_way else None
        if samples is None:  # nothing was asked for, or it was refused before the newest insert
            self._begin_sample(wait_seconds)
            samples = self._finish_sample("wait" if wait_seconds else "sample")
        if samples is not None and self._settings.prefetch:
            self._begin_sample()
        return samples

    def learn_from(self, samples: list[ReplaySample], environment_steps: int) -> None:
        """Takes one step a batch; pushes report the session's ``environment_steps``."""
        learned = [(sample, self._learn(sample, environment_steps)) for sample in samples]
        if self._settings.sampler == "prioritised":
            with self._stopwatch.on("sample"):
                self._send_priorities([(sample, errors) for sample, errors in learned if np.isfinite(errors).all()])

    def close(self) -> None:
        """Takes every answer under way, and gives back what was not used."""
        if self._sample_under_way and (unused := self._finish_sample("sample")):
            self._replay.give_back(unused)
        self.synchroniser.settle()

    def _begin_sample(self, wait_seconds: float = 0.0) -> None:
        with self._stopwatch.on("sample"):
            self._replay.begin_sample(self._settings.batches_per_request, self._batch_size, wait_seconds)
        self._sample_under_way = True

    def _finish_sample(self, activity: Activity) -> list[ReplaySample] | None:
        self._sample_under_way = False
        with self._stopwatch.on(activity):
            return self._replay.finish_sample()

    def _send_priorities(self, learned: list[tuple[ReplaySample, Array]]) -> None:
        if learned:
            self._replay.update_priorities([sample for sample, _ in learned], [errors for _, errors in learned])

    def _learn(self, sample: ReplaySample, environment_steps: int) -> Array:
        clock = self.synchroniser.learner_clock
        weights = None
        if self._settings.sampler == "prioritised":
            weights = importance_weights(sample, self._importance_exponent(clock))
        with self._stopwatch.on("gradient"):
            gradient, result = self._learner.gradient(sample.transitions, weights)
        # A step that is not finite would spoil parameters and moments for good: the batch is skipped.
        if self._gate.admits(result.loss if math.isfinite(result.gradient_norm) else math.inf):
            self._use(gradient, result, clock, environment_steps)
        else:
            self.synchroniser.give_up()
        self.record = LearningRecord(self.record.learner_steps + 1, result, self._gate.dropped)
        return result.td_errors

    def _use(self, gradient: Array, result: StepResult, clock: int, environment_steps: int) -> None:
        if self._gradient_rule:
            self.synchroniser.push(gradient, environment_steps)
            return
        with self._stopwatch.on("gradient"):
            self._learner.descend(gradient, result, clock)
        self.synchroniser.after_step(environment_steps)
